// Keeps a scrolled area at its end while content grows, but only as long as the
// reader is there: any scrolling up lets go at once.

const NEAR = 24;

export class Stick {
  /** Whether the end is in view and kept there. */
  held = $state(true);
  /** More follows below, which is not loaded: there is no end to be kept at. */
  endless = false;
  #area: HTMLElement | null = null;
  #last = 0;

  /** For {@attach}: `content` is the first child of the area. */
  attach = (area: HTMLElement): (() => void) => {
    this.#area = area;
    const scrolled = (): void => {
      const top = area.scrollTop;
      // Only who comes down to the end is held there: who has just begun to go up is still near it.
      if (!this.#atEnd(area)) this.held &&= top >= this.#last - 1;
      else if (top > this.#last) this.held = !this.endless;
      this.#last = top;
    };
    const wheel = (event: WheelEvent): void => {
      if (event.deltaY < 0 && area.scrollHeight > area.clientHeight) this.held = false;
    };
    let finger = 0;
    const touched = (event: TouchEvent): void => {
      finger = event.touches[0]?.clientY ?? 0;
    };
    // A slow finger is near the end for a while, and means to go up all the same.
    const moved = (event: TouchEvent): void => {
      if ((event.touches[0]?.clientY ?? 0) > finger && area.scrollHeight > area.clientHeight)
        this.held = false;
    };
    // So does whoever takes the scrollbar, which is no part of the content.
    const taken = (event: PointerEvent): void => {
      if (event.target === area && event.offsetX >= area.clientLeft + area.clientWidth) this.held = false;
    };
    const grown = new ResizeObserver(() => {
      if (this.held) this.toEnd();
    });
    grown.observe(area);
    if (area.firstElementChild) grown.observe(area.firstElementChild);
    area.addEventListener('scroll', scrolled, { passive: true });
    area.addEventListener('wheel', wheel, { passive: true });
    area.addEventListener('touchstart', touched, { passive: true });
    area.addEventListener('touchmove', moved, { passive: true });
    area.addEventListener('pointerdown', taken, { passive: true });
    return () => {
      grown.disconnect();
      area.removeEventListener('scroll', scrolled);
      area.removeEventListener('wheel', wheel);
      area.removeEventListener('touchstart', touched);
      area.removeEventListener('touchmove', moved);
      area.removeEventListener('pointerdown', taken);
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

  #atEnd(area: HTMLElement): boolean {
    return area.scrollHeight - area.scrollTop - area.clientHeight < NEAR;
  }

  /** Goes to a row, and lets go of the end. */
  async toRow(row: HTMLElement): Promise<void> {
    const area = this.#area;
    if (!area) return;
    this.held = false;
    // What is far away has no measures before it is near.
    for (let tries = 0; tries < 6 && row.isConnected; tries++) {
      const { top, bottom } = row.getBoundingClientRect();
      const room = area.clientHeight - (bottom - top);
      const wanted =
        area.getBoundingClientRect().top + Math.max(24, Math.min(room / 2, area.clientHeight / 4));
      if (Math.abs(top - wanted) < 2 && tries > 0) break;
      area.scrollTop += top - wanted;
      this.#last = area.scrollTop;
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
    this.held = !this.endless && this.#atEnd(area);
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
    this.held ||= !this.endless && this.#atEnd(area);
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
