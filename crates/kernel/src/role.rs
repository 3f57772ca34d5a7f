//! Roles: what a membership allows, as a small set.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One role of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Role {
    /// No account, only a cookie.
    Guest = 0,
    /// Talks to models with credits of their own.
    User = 1,
    /// Watches and takes over conversations of the tenant.
    Supervisor = 2,
    /// Administers the tenant.
    Admin = 3,
    /// Administers the installation.
    Operator = 4,
    /// Another program.
    Service = 5,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 6] = [
        Self::Guest,
        Self::User,
        Self::Supervisor,
        Self::Admin,
        Self::Operator,
        Self::Service,
    ];

    /// The name in tokens, API and database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::User => "user",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Service => "service",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}

/// No role has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown role; roles are guest, user, supervisor, admin, operator, service")]
pub struct UnknownRole;

/// A set of roles; JSON is an array of names, the database a comma-separated text.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Roles(u8);

impl Roles {
    /// No role at all.
    pub const NONE: Self = Self(0);

    /// The set of the given roles.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        roles.iter().copied().collect()
    }

    /// Whether the set has this role.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// The roles, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(
            roles
                .into_iter()
                .fold(0, |set, role| set | (1 << role as u8)),
        )
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, role) in self.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, role.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl FromStr for Roles {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        text.split(',')
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_back_as_it_was_written() {
        let set = Roles::of(&[Role::Admin, Role::User]);
        assert_eq!(set.to_string(), "user,admin");
        assert_eq!("user,admin".parse::<Roles>().unwrap(), set);
        assert_eq!("".parse::<Roles>().unwrap(), Roles::NONE);
        assert!("user,root".parse::<Roles>().is_err());
        assert!(set.has(Role::Admin) && !set.has(Role::Operator));
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["user","admin"]"#);
    }
}
