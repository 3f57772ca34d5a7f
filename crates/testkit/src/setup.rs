//! What a test says about its server before it starts: configuration, environment,
//! arguments, and where it is to die.

use toml::{Table, Value};

use crate::Backend;

/// How a server of a test is configured: generous limits, no model, unless the
/// test says otherwise.
#[derive(Debug, Clone)]
pub struct Setup {
    pub(crate) config: Table,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) args: Vec<String>,
    pub(crate) roles: Option<String>,
    pub(crate) shell: Option<&'static str>,
}

/// A fault point that kills the process when it is reached for the `count`th time.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// One of `kernel::fault::POINTS`.
    pub point: &'static str,
    /// From 1.
    pub count: u32,
}

impl Setup {
    pub(crate) fn new(backend: Backend) -> Self {
        let mut setup = Self {
            config: Table::new(),
            env: Vec::new(),
            args: Vec::new(),
            roles: None,
            shell: None,
        };
        for kind in ["chat", "reads", "sign_in"] {
            let generous = Table::from_iter([
                ("requests".to_owned(), Value::Integer(1_000_000)),
                ("window".to_owned(), Value::String("60s".to_owned())),
            ]);
            setup.set(&format!("security.rate_limit.{kind}"), generous);
        }
        setup.set("server.drain", "5s");
        if backend == Backend::Postgres {
            setup
                .set("runs.lease", "1s")
                .set("database.connections", 12);
        }
        setup
    }

    /// Sets a key of the configuration file, its sections separated by dots.
    ///
    /// # Panics
    /// When a section is a value already.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let mut parts: Vec<&str> = key.split('.').collect();
        let last = parts.pop().expect("a key");
        let mut table = &mut self.config;
        for part in parts {
            let inner = table
                .entry(part)
                .or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().expect("a section");
        }
        table.insert(last.to_owned(), value.into());
        self
    }

    /// Adds an element to a list of tables (`[[providers]]`, `[[models]]`).
    ///
    /// # Panics
    /// When the key is something else.
    pub fn push(&mut self, key: &str, element: Table) -> &mut Self {
        let list = self
            .config
            .entry(key)
            .or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut()
            .expect("a list")
            .push(Value::Table(element));
        self
    }

    /// Adds tables in TOML to the lists of the configuration file.
    ///
    /// # Panics
    /// When it is not TOML.
    pub fn add(&mut self, toml: &str) -> &mut Self {
        let more: Table = toml.parse().unwrap_or_else(|e| panic!("{toml}: {e}"));
        for (key, value) in more {
            match value {
                Value::Array(elements) => {
                    for element in elements {
                        self.push(&key, element.as_table().expect("a table").clone());
                    }
                }
                other => {
                    self.set(&key, other);
                }
            }
        }
        self
    }

    /// Sets a variable of the process's environment.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument of the command line.
    pub fn arg(&mut self, arg: &str) -> &mut Self {
        self.args.push(arg.to_owned());
        self
    }
    /// Has the process do this part of the work only (`--roles`).
    pub fn roles(&mut self, roles: &str) -> &mut Self {
        self.roles = Some(roles.to_owned());
        self
    }

    /// Runs these commands of the shell in the process before it becomes the program.
    pub fn first(&mut self, commands: &'static str) -> &mut Self {
        self.shell = Some(commands);
        self
    }
}
