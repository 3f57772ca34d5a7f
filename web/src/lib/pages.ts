// Lists that are short enough to be fetched whole (the server limits them).

interface Page<Row> {
  data: Row[];
  meta: { pages: number };
}

const ROWS = 100;

/** All rows of a paged list. */
export async function everyPage<Row>(
  fetch: (query: { page: number; per_page: number }) => Promise<Page<Row>>,
): Promise<Row[]> {
  const first = await fetch({ page: 1, per_page: ROWS });
  const rest = Array.from({ length: Math.max(0, first.meta.pages - 1) }, (_, n) => n + 2);
  const others = await Promise.all(rest.map((page) => fetch({ page, per_page: ROWS })));
  return [first, ...others].flatMap((page) => page.data);
}
