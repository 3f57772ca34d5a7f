//! Queries: read by name, one value a name, with the name in every complaint.

use std::{collections::HashMap, str::FromStr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use kernel::{AccountId, Error, Page, Result};

use crate::{App, problem::Problem};

/// The parameters of a query; unknown ones are ignored.
#[derive(Debug, Default)]
pub(crate) struct Query(HashMap<String, String>);

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query().unwrap_or(""))?)
    }
}

impl Query {
    pub(crate) fn parse(query: &str) -> Result<Self> {
        let uri = http::Uri::builder()
            .path_and_query(format!("/?{query}"))
            .build();
        let uri = uri.map_err(|_| Error::invalid("query", "is not readable"))?;
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|_| Error::invalid("query", "is not readable"))?;
        let mut values = HashMap::new();
        for (name, value) in pairs.0 {
            if value.contains('\0') {
                return Err(Error::invalid(name, "must not contain the NUL character"));
            }
            values.insert(name, value);
        }
        Ok(Self(values))
    }

    /// The value, unless it is absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A value that is one of a few, or a number.
    pub(crate) fn value<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>> {
        self.text(name)
            .map(|text| text.parse().map_err(|_| Error::invalid(name, expected)))
            .transpose()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Error::invalid(name, "is true or false")),
        }
    }

    /// `page` and `per_page`: numbers beyond the bounds are taken into them,
    /// what is no number is refused.
    pub(crate) fn page(&self) -> Result<Page> {
        let number = |name: &str| -> Result<Option<u32>> {
            let value = self.value::<u64>(name, "is a whole number from 1")?;
            Ok(value.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
        };
        Ok(Page::new(number("page")?, number("per_page")?))
    }

    /// `user_id` (or `userId`), for admins.
    pub(crate) fn user(&self) -> Result<Option<AccountId>> {
        let name = if self.text("user_id").is_some() {
            "user_id"
        } else {
            "userId"
        };
        match self.text(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Error::not_found("User")),
        }
    }

    /// A moment: RFC 3339, or a day, which stands for its beginning in UTC.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<Timestamp>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let day = || -> Option<Timestamp> {
            Some(
                text.parse::<Date>()
                    .ok()?
                    .to_zoned(TimeZone::UTC)
                    .ok()?
                    .timestamp(),
            )
        };
        let moment = text.parse::<Timestamp>().ok().or_else(day).ok_or_else(|| {
            Error::invalid(
                name,
                "is a time like 2026-01-31T12:00:00Z or a day like 2026-01-31",
            )
        })?;
        Ok(Some(moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<(i64, i64)> {
        Query::parse(query)?
            .page()
            .map(|page| (page.limit(), page.offset()))
    }

    #[test]
    fn pages_are_taken_into_bounds_and_garbage_is_refused() {
        assert_eq!(page("").unwrap(), (20, 0));
        assert_eq!(page("page=0&per_page=0").unwrap(), (1, 0));
        assert_eq!(page("page=3&per_page=1000").unwrap(), (100, 200));
        assert_eq!(
            page("page=99999999999999&per_page=").unwrap(),
            (20, 999_999 * 20)
        );
        for query in [
            "page=x",
            "page=-1",
            "per_page=1.5",
            "page=1%00",
            "page=999999999999999999999999",
        ] {
            assert_eq!(
                page(query).unwrap_err().kind().http_status(),
                422,
                "{query}"
            );
        }
    }

    #[test]
    fn moments_are_times_or_days() {
        let query = Query::parse("from=2026-01-31&to=2026-01-31T12:00:00%2B02:00&bad=now").unwrap();
        assert_eq!(
            query.moment("from").unwrap().unwrap().to_string(),
            "2026-01-31T00:00:00Z"
        );
        assert_eq!(
            query.moment("to").unwrap().unwrap().to_string(),
            "2026-01-31T10:00:00Z"
        );
        assert_eq!(query.moment("absent").unwrap(), None);
        assert_eq!(query.moment("bad").unwrap_err().fields()[0].field, "bad");
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        for query in ["q=%FF%FE", "&&==&", "q=%", "%00=1", "q=a%20b+c&q=d"] {
            let _ = Query::parse(query);
        }
        assert_eq!(Query::parse("q=a%20b+c&q=d").unwrap().text("q"), Some("d"));
    }
}
