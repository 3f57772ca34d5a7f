// Keeps a scrolled area at its end while content grows, but only as long as the
// reader is there: any scrolling up lets go at once.

const NEAR = 24;

export class Stick {
  /** Whether the end is in view and kept there. */
  held = $state(true);
  #area: HTMLElement | null = null;
  #last = 0;

  /** For {@attach}: `content` is the first child of the area. */
  attach = (area: HTMLElement): (() => void) => {
    this.#area = area;
    const scrolled = (): void => {
      const left = area.scrollHeight - area.scrollTop - area.clientHeight;
      if (left < NEAR) this.held = true;
      else if (area.scrollTop < this.#last - 1) this.held = false;
      this.#last = area.scrollTop;
    };
    const wheel = (event: WheelEvent): void => {
      if (event.deltaY < 0 && area.scrollHeight > area.clientHeight) this.held = false;
    };
    const grown = new ResizeObserver(() => {
      if (this.held) this.toEnd();
    });
    grown.observe(area);
    if (area.firstElementChild) grown.observe(area.firstElementChild);
    area.addEventListener('scroll', scrolled, { passive: true });
    area.addEventListener('wheel', wheel, { passive: true });
    return () => {
      grown.disconnect();
      area.removeEventListener('scroll', scrolled);
      area.removeEventListener('wheel', wheel);
      this.#area = null;
    };
  };

  toEnd(smooth = false): void {
    const area = this.#area;
    if (!area) return;
    this.held = true;
    if (smooth) area.scrollTo({ top: area.scrollHeight, behavior: 'smooth' });
    else area.scrollTop = area.scrollHeight;
    this.#last = area.scrollTop;
  }

  /** Runs a change that adds something above, and leaves what is read where it is. */
  async steady(change: () => Promise<void>, settled: () => Promise<void>): Promise<void> {
    const area = this.#area;
    await change();
    if (!area) return settled();
    const anchor = this.#anchor(area);
    const before = anchor?.getBoundingClientRect().top ?? 0;
    await settled();
    if (anchor?.isConnected && !this.held) area.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#last = area.scrollTop;
  }

  /** The first row that can be seen. */
  #anchor(area: HTMLElement): Element | null {
    const top = area.getBoundingClientRect().top;
    for (const row of area.querySelectorAll('[data-row]')) {
      if (row.getBoundingClientRect().bottom > top) return row;
    }
    return null;
  }
}
