//! What the platform adds to a model call: the scripted upstream called
//! directly, through a plain pass-through (it exists only here), and through
//! the server with everything on; whole and streamed; memory and start.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::load::{Connection, Measured, Request, run};

const LENGTH: Duration = Duration::from_secs(5);
/// Each connection is somebody else, as on a real installation; one wallet is
/// changed by one transaction at a time.
const ACCOUNTS: usize = 64;
const PASSWORD: &str = "a bench password";

type Outcome<T> = Result<T, String>;

fn beside(name: &str) -> Outcome<PathBuf> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = me.with_file_name(name);
    match path.exists() {
        true => Ok(path),
        false => Err(format!(
            "{name} is not built; `make bench` builds everything"
        )),
    }
}

/// A process, and the address it printed.
struct Running {
    child: Child,
    address: String,
    ready: Duration,
    /// Open as long as the process, which prints little more.
    _output: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

async fn start(mut command: Command, marker: &str) -> Outcome<Running> {
    let begun = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? {
        if let Some(at) = line.find(marker) {
            let address = line[at + marker.len()..]
                .trim()
                .trim_end_matches("/v1")
                .to_owned();
            let ready = begun.elapsed();
            return Ok(Running {
                child,
                address,
                ready,
                _output: lines,
            });
        }
    }
    Err(format!("it ended before it printed `{marker}`"))
}

fn resident(child: &Child) -> f64 {
    let read = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()?)).ok()?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))?
            .to_owned();
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    read().unwrap_or(0.0) / 1024.0
}

/// Processor time of a process so far, in seconds.
fn cpu(child: &Child) -> f64 {
    let read = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()?)).ok()?;
        // After the name: state is the first field, user and system time the 12th and 13th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) / 100.0)
    };
    read().unwrap_or(0.0)
}

struct Server {
    running: Running,
    /// Resident memory before the first request, in MB.
    idle: f64,
    /// Access tokens of the accounts.
    tokens: Vec<String>,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start(upstream: &str, database: Option<&str>) -> Outcome<Self> {
        let dir = tempfile::tempdir_in(".").map_err(|error| error.to_string())?;
        let config = dir.path().join("tertulia.toml");
        let text = format!(
            "[[providers]]\nname = \"scripted\"\nkind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
             [[models]]\nid = \"scripted\"\ncontext_window = 8192\ninput_price = 0.1\noutput_price = 0.2\n\
             deployments = [{{provider = \"scripted\", model = \"scripted\"}}]\n\
             [accounting]\nsignup_grant = 500000000\n\
             [server]\nmax_streams_per_account = 100000\n\
             [security.rate_limit]\nchat = {{requests = 100000000, window = \"60s\"}}\n\
             reads = {{requests = 100000000, window = \"60s\"}}\n\
             sign_in = {{requests = 100000000, window = \"60s\"}}\n{}",
            database
                .map(|url| format!("[database]\nurl = \"{url}\"\n"))
                .unwrap_or_default()
        );
        std::fs::write(&config, text).map_err(|error| error.to_string())?;
        let mut command = Command::new(beside("tertulia")?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .env("RUST_LOG", "error")
            // Without a local model, as the goal for idle memory says.
            .env("TERTULIA__MODELS__DIR", dir.path());
        let running = start(command, "listening on http://").await?;
        let http = reqwest::Client::new();
        let idle = resident(&running.child);
        let mut server = Self {
            idle,
            running,
            tokens: Vec::new(),
            http,
            _dir: dir,
        };
        for n in 0..ACCOUNTS {
            let who = json!({"email": format!("bench{n}@example.org"), "password": PASSWORD});
            server.post("", "/auth/register", &who).await?;
            let tokens = server.post("", "/auth/login", &who).await?;
            let token = tokens["access_token"].as_str().unwrap_or_default();
            server.tokens.push(token.to_owned());
        }
        Ok(server)
    }

    fn token(&self, n: usize) -> &str {
        &self.tokens[n % self.tokens.len()]
    }

    async fn post(&self, token: &str, path: &str, body: &Json) -> Outcome<Json> {
        let url = format!("http://{}{path}", self.running.address);
        let mut request = self.http.post(url).json(body);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        match status.is_success() {
            true => serde_json::from_str(&text).map_err(|error| error.to_string()),
            false => Err(format!("{path}: {status} {text}")),
        }
    }

    /// A conversation with one prompt, and that prompt's path for regenerating:
    /// each call answers the same prompt with the same context.
    async fn prompt(&self, token: &str, script: &str) -> Outcome<(String, String)> {
        let session = self
            .post(token, "/sessions", &json!({"model_id": "scripted"}))
            .await?;
        let id = session["id"].as_str().unwrap_or_default().to_owned();
        let sent = self
            .post(
                token,
                &format!("/sessions/{id}/messages"),
                &json!({"prompt": script}),
            )
            .await?;
        let parent = sent["message"]["parent_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Ok((id, parent))
    }

    async fn requests(&self, count: usize, script: &str, stream: bool) -> Outcome<Vec<Request>> {
        let mut requests = Vec::with_capacity(count);
        for n in 0..count {
            let token = self.token(n);
            let (session, prompt) = self.prompt(token, script).await?;
            let path = format!("/sessions/{session}/messages/{prompt}/regenerate");
            let address = &self.running.address;
            requests.push(Request::post(address, &path, Some(token), stream, "{}"));
        }
        Ok(requests)
    }
}

fn upstream_request(address: &str, script: &str, stream: bool) -> Request {
    let mut body = json!({
        "model": "scripted",
        "messages": [{"role": "user", "content": script}],
        "stream": stream,
    });
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    Request::post(
        address,
        "/v1/chat/completions",
        None,
        stream,
        &body.to_string(),
    )
}

fn row(name: &str, connections: usize, measured: &Measured, direct: &Measured) {
    println!(
        "{name:<24} {connections:>4}  {:>9.0}/s  p50 {:>7.2} ms  p99 {:>7.2} ms  +p50 {:>6.2} ms  first +{:>5.2} ms  failed {}",
        measured.rate,
        measured.p50(),
        measured.p99(),
        measured.p50() - direct.p50(),
        Measured::quantile(&measured.first, 0.5) - Measured::quantile(&direct.first, 0.5),
        measured.failed,
    );
}

async fn compare(
    upstream: &str,
    plain: &str,
    servers: &[(&str, &Server)],
    stream: bool,
    only: &[String],
) -> Outcome<()> {
    const SCRIPT: &str = "!script tokens=16";
    for connections in [1, 8, 64] {
        let wanted = |name: &str| {
            only.iter().all(|word| {
                name.contains(word.as_str())
                    || *word == connections.to_string()
                    || *word == if stream { "streamed" } else { "whole" }
            })
        };
        if !servers.iter().any(|(name, _)| wanted(name)) && !wanted("plain") {
            continue;
        }
        let of = |address: &str| vec![upstream_request(address, SCRIPT, stream); connections];
        run(of(upstream), Duration::from_secs(1)).await?;
        let direct = run(of(upstream), LENGTH).await?;
        row("direct", connections, &direct, &direct);
        if wanted("plain") {
            row(
                "plain pass-through",
                connections,
                &run(of(plain), LENGTH).await?,
                &direct,
            );
        }
        for (name, server) in servers.iter().filter(|(name, _)| wanted(name)) {
            let requests = server.requests(connections, SCRIPT, stream).await?;
            run(requests.clone(), Duration::from_secs(1)).await?;
            let before = cpu(&server.running.child);
            let measured = run(requests, LENGTH).await?;
            let used = cpu(&server.running.child) - before;
            row(
                &format!("governed, {name}"),
                connections,
                &measured,
                &direct,
            );
            println!(
                "{:<24} server's processor time {:.2} ms a request",
                "",
                used * 1000.0 / (measured.rate * LENGTH.as_secs_f64())
            );
        }
    }
    Ok(())
}

/// 2,000 streams of 20 tokens a second each, for ten seconds.
async fn paced(server: &Server) -> Outcome<()> {
    const STREAMS: usize = 2_000;
    const TOKENS: u64 = 200;
    let script = format!("!script tokens={TOKENS} delay=50ms");
    let mut requests = Vec::new();
    for n in 0..STREAMS {
        let token = server.token(n);
        let session = server
            .post(token, "/sessions", &json!({"model_id": "scripted"}))
            .await?;
        let id = session["id"].as_str().unwrap_or_default().to_owned();
        let body = json!({"prompt": script}).to_string();
        let path = format!("/sessions/{id}/messages/stream");
        let address = &server.running.address;
        requests.push(Request::post(address, &path, Some(token), true, &body));
    }
    let before = resident(&server.running.child);
    let mut tasks = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for request in requests {
        tasks.spawn(async move {
            let mut connection = Connection::open(&request.address).await?;
            connection.call(&request.bytes).await
        });
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let during = resident(&server.running.child);
    let (mut complete, mut dropped) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        let answer = done.map_err(|error| error.to_string())??;
        complete += u64::from(answer.complete);
        // The last event repeats the text once, as the message.
        dropped += TOKENS.saturating_sub(answer.texts);
    }
    println!(
        "paced streams: {STREAMS} x 20 tokens/s: {complete} complete, {dropped} events dropped, {:.1} s for 10.0 s, {:.0} KiB a stream",
        begun.elapsed().as_secs_f64(),
        (during - before) * 1024.0 / 2_000.0,
    );
    Ok(())
}

/// Prints everything this module measures.
///
/// With words (`SQLite`, `PostgreSQL`, `plain`, `whole`, `streamed`, `1`, `8`, `64`) only the rows that
/// all of them name, for profiling.
pub async fn measure(only: &[String]) -> Outcome<()> {
    let mut command = Command::new(beside("upstream")?);
    command.args(["--listen", "127.0.0.1:0"]);
    let upstream = start(command, "http://").await?;
    let mut command = Command::new(beside("benches")?);
    command.args(["plain", &upstream.address]);
    let plain = start(command, "http://").await?;
    let sqlite = Server::start(&upstream.address, None).await?;
    println!(
        "start to ready {:.2} s, idle memory {:.0} MB (goals: 1 s, 60 MB)",
        sqlite.running.ready.as_secs_f64(),
        sqlite.idle
    );
    let url = std::env::var("TERTULIA_TEST_POSTGRES_URL").ok();
    let postgres = match &url {
        Some(url) => {
            let url = crate::store::database(url, "gateway").await?;
            Some(Server::start(&upstream.address, Some(&url)).await?)
        }
        None => None,
    };
    let mut servers = vec![("SQLite", &sqlite)];
    servers.extend(postgres.as_ref().map(|server| ("PostgreSQL", server)));
    println!(
        "\nwhole answers of 16 tokens (goals at 8: +0.8 ms p50, p99 +4 ms; at 64: half of plain; PostgreSQL +3 ms, 2,000/s)"
    );
    compare(&upstream.address, &plain.address, &servers, false, only).await?;
    println!("\nstreamed answers of 16 tokens (goal: first token +1 ms p50)");
    compare(&upstream.address, &plain.address, &servers, true, only).await?;
    println!();
    match only {
        [] => paced(&sqlite).await,
        _ => Ok(()),
    }
}
