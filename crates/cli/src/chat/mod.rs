//! `tertulia chat`: a conversation in the terminal, over HTTP like any client.

mod answer;
mod credentials;
mod server;
mod sse;

use std::io::{BufRead, IsTerminal, Read, Write};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::sync::mpsc;

use crate::args::Chat;
use credentials::Credentials;
pub(crate) use credentials::write_private;
use server::{Refusal, Server};

/// Runs the terminal client to its end.
///
/// # Errors
/// With a sentence: the server cannot be reached, refuses, or an answer failed.
pub async fn run(mut options: Chat) -> Result<()> {
    // A variable that is there and empty says nothing.
    options.email = options.email.filter(|email| !email.trim().is_empty());
    let mut server = Server::new(&options.url, Credentials::find()?)?;
    if !server.is_signed_in(options.email.as_deref()).await? {
        sign_in(&mut server, &options).await?;
    }
    let model = pick_model(&mut server, &options).await?;
    let session = server
        .post("/sessions", &json!({"model_id": model}))
        .await?;
    let session = session["id"]
        .as_str()
        .context("no conversation in the answer")?
        .to_owned();
    if let Some(prompt) = &options.once {
        let prompt = if prompt == "-" {
            read_all()?
        } else {
            prompt.clone()
        };
        return once(&mut server, &session, &prompt).await;
    }
    let mut interrupts = interrupts();
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        show(&format!(
            "Talking to {model}. An empty line or Ctrl-D ends; Ctrl-C stops an answer, and ends here.\n"
        ))?;
    }
    let mut lines = lines();
    loop {
        if interactive {
            show("\n> ")?;
        }
        let line = tokio::select! {
            line = lines.recv() => line,
            Some(()) = interrupts.recv() => None,
        };
        let Some(line) = line.filter(|line| !line.trim().is_empty()) else {
            return Ok(());
        };
        match answer::ask(&mut server, &session, &line, &key(), &mut interrupts).await {
            Ok(end) => show(&format!("\n{}\n", answer::summary(&end)))?,
            // A refusal is of this prompt; the next one may do.
            Err(error) if error.is::<Refusal>() => show(&format!("[{error}]\n"))?,
            Err(error) => return Err(error),
        }
    }
}

/// For scripts: the answer on standard output, its cost on standard error.
async fn once(server: &mut Server, session: &str, prompt: &str) -> Result<()> {
    let end = answer::ask(server, session, prompt, &key(), &mut interrupts()).await?;
    show("\n")?;
    crate::tell(&answer::summary(&end));
    match end["end_reason"].as_str() {
        Some("stop" | "length") => Ok(()),
        _ => bail!("the answer is not whole"),
    }
}

/// Fresh for each prompt, so that sending it again after a lost connection is safe.
fn key() -> String {
    let ids = kernel::Ids::new(kernel::Clock::system(), kernel::Random::system());
    ids.next::<kernel::kinds::Request>().to_string()
}

async fn sign_in(server: &mut Server, options: &Chat) -> Result<()> {
    let terminal = std::io::stdin().is_terminal();
    let given = std::env::var("TERTULIA_PASSWORD").ok();
    let given = given.filter(|password| !password.is_empty());
    let email = match &options.email {
        Some(email) => email.clone(),
        None if terminal => ask_line(&format!("Sign in to {}\nEmail: ", options.url))?,
        None => bail!(
            "sign in first: run `tertulia chat` in a terminal, or set TERTULIA_EMAIL and TERTULIA_PASSWORD"
        ),
    };
    let password = match given {
        Some(password) => password,
        None if terminal => rpassword::prompt_password("Password: ")?,
        None => bail!("set TERTULIA_PASSWORD, or run `tertulia chat` in a terminal"),
    };
    let refused = match server.login(&email, &password).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let unknown = refused
        .downcast_ref::<Refusal>()
        .is_some_and(|r| r.code == "invalid_credentials");
    if !unknown || !terminal {
        return Err(refused);
    }
    let answer =
        ask_line("Nobody signs in so. Create an account with this email and password? [y/N] ")?;
    if !matches!(answer.to_lowercase().as_str(), "y" | "yes") {
        return Err(refused);
    }
    server.register(&email, &password).await
}

/// On standard output. Nobody may be there to read it any more, which ends the program.
fn show(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn ask_line(question: &str) -> Result<String> {
    show(question)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn read_all() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

async fn pick_model(server: &mut Server, options: &Chat) -> Result<String> {
    if let Some(model) = &options.model {
        return Ok(model.clone());
    }
    let ids = models(server).await?;
    let first = ids.first().context("the server has no model to talk to")?;
    if ids.len() == 1 || options.once.is_some() || !std::io::stdin().is_terminal() {
        return Ok(first.clone());
    }
    for (n, id) in ids.iter().enumerate() {
        show(&format!("{:>3}. {id}\n", n + 1))?;
    }
    let answer = ask_line("Model [1]: ")?;
    let chosen = match answer.parse::<usize>() {
        _ if answer.is_empty() => first,
        Ok(n) => ids
            .get(n.wrapping_sub(1))
            .context("there is no model with this number")?,
        Err(_) => ids
            .iter()
            .find(|id| **id == answer)
            .context("there is no such model")?,
    };
    Ok(chosen.clone())
}

/// Every model one may talk to, page by page.
async fn models(server: &mut Server) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for page in 1.. {
        let list = format!("/models?per_page=100&page={page}");
        let list = server.get(&list).await?;
        if let Some(hint) = list["hint"].as_str() {
            bail!("{hint}");
        }
        let data = list["data"].as_array().into_iter().flatten();
        let talking = data.filter(|model| model["kind"] == "chat");
        ids.extend(talking.filter_map(|model| model["id"].as_str().map(str::to_owned)));
        if page >= list["meta"]["pages"].as_i64().unwrap_or(1) {
            break;
        }
    }
    Ok(ids)
}

/// Lines of standard input, read beside the runtime: a read of a terminal cannot be given up.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Ctrl-C, handed over to whoever waits for it; one that finds an earlier one still waiting ends the
/// program.
fn interrupts() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    let runtime = tokio::runtime::Handle::current();
    runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.try_send(()).is_err() {
                std::process::exit(answer::INTERRUPTED);
            }
        }
    });
    receiver
}
