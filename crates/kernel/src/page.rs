//! Pages of lists: `page` from 1, `per_page` 20 and at most 100.

use serde::{Deserialize, Serialize};

/// Which part of a list is asked for. Always within bounds once made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    page: u32,
    per_page: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            page: 1,
            per_page: 20,
        }
    }
}

impl Page {
    /// The page of these numbers, taken into bounds (page 1 to 1,000,000, 1 to 100 a page).
    #[must_use]
    pub fn new(page: Option<u32>, per_page: Option<u32>) -> Self {
        Self {
            page: page.unwrap_or(1).clamp(1, 1_000_000),
            per_page: per_page.unwrap_or(20).clamp(1, 100),
        }
    }

    /// How many rows at most.
    #[must_use]
    pub fn limit(self) -> i64 {
        i64::from(self.per_page)
    }

    /// How many rows come before this page.
    #[must_use]
    pub fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.per_page)
    }
}

/// One page of a list, and where it stands in the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paged<T> {
    /// The rows of this page.
    pub data: Vec<T>,
    /// Where the page stands.
    pub meta: PageMeta,
}

/// Where a page stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMeta {
    /// This page, from 1.
    pub page: u32,
    /// Rows a page.
    pub per_page: u32,
    /// Rows in the whole list.
    pub total: i64,
    /// Pages in the whole list.
    pub pages: i64,
}

impl<T> Paged<T> {
    /// One page out of `total` rows.
    #[must_use]
    pub fn new(data: Vec<T>, page: Page, total: i64) -> Self {
        let pages = (total + page.limit() - 1) / page.limit();
        Self {
            data,
            meta: PageMeta {
                page: page.page,
                per_page: page.per_page,
                total,
                pages,
            },
        }
    }

    /// One page of a list that is whole in memory.
    #[must_use]
    pub fn of(all: Vec<T>, page: Page) -> Self {
        let place = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
        let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let rows = all.into_iter().skip(place(page.offset()));
        Self::new(rows.take(place(page.limit())).collect(), page, total)
    }

    /// The same page of other things.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Paged<U> {
        Paged {
            data: self.data.into_iter().map(convert).collect(),
            meta: self.meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_memory_has_pages_like_any_other() {
        let page = |page, per_page| {
            let page = Page::new(Some(page), Some(per_page));
            let Paged { data, meta } = Paged::of((1..=5).collect(), page);
            (data, meta.total, meta.pages)
        };
        assert_eq!(page(1, 2), (vec![1, 2], 5, 3));
        assert_eq!(page(3, 2), (vec![5], 5, 3));
        assert_eq!(page(4, 2), (vec![], 5, 3));
        assert_eq!(page(1_000_000, 100), (vec![], 5, 1));
        assert_eq!(page(1, 5), (vec![1, 2, 3, 4, 5], 5, 1));
        let none = Paged::<u8>::of(Vec::new(), Page::default());
        assert_eq!(
            (none.data.len(), none.meta.total, none.meta.pages),
            (0, 0, 0)
        );
    }
}
