//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A self-hosted AI chat platform.
#[derive(Debug, Parser)]
#[command(name = "tertulia", version, about, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Serve),
    /// Print the configuration in force, secrets masked
    Config(Settings),
    /// Bring the database to this version, then stop
    Migrate(Settings),
    /// Administer the running server through its socket in the data directory
    Admin(Admin),
    /// Talk to a server in the terminal
    Chat(Chat),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// The configuration file, instead of the one that TERTULIA_CONFIG names (config/tertulia.toml shows every key)
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The data directory, instead of `server.data_dir`
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

impl Settings {
    /// The configuration file, if there is to be one. An empty variable names none.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("TERTULIA_CONFIG").filter(|name| !name.is_empty());
        self.config.clone().or_else(|| named().map(PathBuf::from))
    }
}

/// Options of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub settings: Settings,
    /// Where to listen, instead of `server.listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// What this process does; split roles need PostgreSQL
    #[arg(long, value_delimiter = ',', value_name = "ROLE,...")]
    pub roles: Option<Vec<String>>,
    /// Print where local models are looked for with these settings, and stop
    #[arg(long)]
    pub print_models_dir: bool,
}

/// Options of `admin`.
#[derive(Debug, Args)]
pub struct Admin {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do.
    #[command(subcommand)]
    pub action: AdminAction,
}

/// What an administrator at the machine can do.
#[derive(Debug, Subcommand)]
pub enum AdminAction {
    /// Create an account in the tenant `default`
    CreateUser {
        /// Its email
        email: String,
        /// Its roles
        #[arg(long, value_delimiter = ',', default_value = "user")]
        roles: Vec<String>,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give credits to an account
    Allocate {
        /// Whose wallet
        email: String,
        /// How many credits, at most six decimal places
        amount: String,
        /// A note for the ledger
        #[arg(long)]
        note: Option<String>,
    },
    /// Set a new password; ends every sign-in of the account
    ResetPassword {
        /// Whose password
        email: String,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Options of `chat`.
#[derive(Debug, Clone, Args)]
pub struct Chat {
    /// The server
    #[arg(long, env = "TERTULIA_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// The model; the first one the server lists otherwise
    #[arg(long)]
    pub model: Option<String>,
    /// Ask this and stop after the answer (`-` reads standard input)
    #[arg(long, value_name = "PROMPT")]
    pub once: Option<String>,
    /// Sign in with this email instead of asking
    #[arg(long, env = "TERTULIA_EMAIL")]
    pub email: Option<String>,
}
