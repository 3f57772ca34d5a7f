// localStorage that may be missing, full or forbidden; the page works without it.

export function load(key: string): string | null {
  try {
    return localStorage.getItem(`tertulia:${key}`);
  } catch {
    return null;
  }
}

export function save(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`tertulia:${key}`);
    else localStorage.setItem(`tertulia:${key}`, value);
  } catch {
    // Not kept; nothing else to do.
  }
}

/** Removes everything whose key begins so. */
export function forget(prefix: string): void {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(`tertulia:${prefix}`)) localStorage.removeItem(key);
    }
  } catch {
    // As above.
  }
}
