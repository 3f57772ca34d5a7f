//! A model provider that does what a test tells it: the chat-completions format
//! over a real connection, paced, failing or broken on demand, and a record of
//! every request. One server serves parallel tests: each request carries its own script.

mod answer;
mod http;
mod script;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use script::{Script, Usage};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

/// So many requests are remembered.
const REMEMBERED: usize = 10_000;

/// A running upstream. It ends when this is dropped.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

/// One request as the upstream saw it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// In order of arrival, from 1.
    pub number: u64,
    /// `model` of the body.
    pub model: String,
    /// The last user message.
    pub prompt: String,
    /// The whole body.
    pub body: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// What the upstream counts as prompt tokens (and reports): words, and 4 for each message.
    pub prompt_tokens: u64,
    /// The tokens of the answer sent so far.
    pub tokens: u64,
    /// The client ended the call before the answer was complete.
    pub aborted: bool,
    /// The answer, or the failure, was delivered in full.
    pub done: bool,
}

pub(crate) struct Shared {
    script: Script,
    record: bool,
    requests: Mutex<VecDeque<Request>>,
    numbers: Mutex<u64>,
    connections: AtomicU64,
    /// How often a model and prompt were asked, for `times`.
    asked: Mutex<HashMap<String, u32>>,
    changed: Notify,
}

impl Upstream {
    /// Starts one on a free port, which answers eight words unless told otherwise.
    pub async fn start() -> Self {
        Self::start_with("127.0.0.1:0", Script::default(), true)
            .await
            .expect("a free port on loopback")
    }

    /// Starts one at an address, with a script for requests that bring none. Without `record` nothing is
    /// remembered, as benches need it.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_with(address: &str, script: Script, record: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script,
            record,
            requests: Mutex::default(),
            numbers: Mutex::default(),
            connections: AtomicU64::new(0),
            asked: Mutex::default(),
            changed: Notify::new(),
        });
        let accept = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            accept,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for a provider's configuration, with `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A provider `upstream` and a chat model for each name, as they stand in a configuration file: window 8192, one credit for
    /// 1,000 prompt tokens and two for 1,000 answer tokens.
    #[must_use]
    pub fn config(&self, models: &[&str]) -> String {
        let mut text = format!(
            "[[providers]]\nname = \"upstream\"\nkind = \"openai\"\nbase_url = \"{}\"\napi_key = \"test-key\"\n",
            self.url()
        );
        for model in models {
            text += &format!(
                "\n[[models]]\nid = \"{model}\"\ncontext_window = 8192\ninput_price = 1\noutput_price = 2\n\
                 deployments = [{{ provider = \"upstream\" }}]\n"
            );
        }
        text
    }

    /// Every request remembered, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests().iter().cloned().collect()
    }

    /// The requests whose last user message has this text: a test's own, where several share the upstream.
    #[must_use]
    pub fn requests_with(&self, text: &str) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(|request| request.prompt.contains(text))
            .collect()
    }

    /// How many connections were made to it so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits for a request that is as wanted.
    ///
    /// # Panics
    /// When there is none within 10 seconds.
    pub async fn wait_for(&self, wanted: impl Fn(&Request) -> bool) -> Request {
        let search = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(request) = self
                    .shared
                    .requests()
                    .iter()
                    .find(|request| wanted(request))
                {
                    return request.clone();
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), search).await;
        found.unwrap_or_else(|_| {
            panic!(
                "no such request within 10 s; there were {:?}",
                self.requests()
            )
        })
    }

    /// Serves until the task is ended from outside.
    pub async fn serve(mut self) {
        (&mut self.accept).await.ok();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a number and, if requests are remembered, remembers it.
    fn remember(&self, mut request: Request) -> u64 {
        let number = {
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            *numbers += 1;
            *numbers
        };
        if self.record {
            request.number = number;
            let mut requests = self.requests();
            if requests.len() == REMEMBERED {
                requests.pop_front();
            }
            requests.push_back(request);
            drop(requests);
            self.changed.notify_waiters();
        }
        number
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Request)) {
        if !self.record {
            return;
        }
        if let Some(request) = self
            .requests()
            .iter_mut()
            .rev()
            .find(|request| request.number == number)
        {
            change(request);
        }
        self.changed.notify_waiters();
    }

    /// The script for a request, `times` taken into account.
    fn script(&self, model: &str, prompt: &str) -> Result<Script, String> {
        let script = Script::choose(model, prompt, &self.script)?;
        let Some(times) = script.times else {
            return Ok(script);
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(format!("{model}\0{prompt}")).or_default();
        *count += 1;
        Ok(if *count > times {
            script.healed()
        } else {
            script
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(serve(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).ok();
    let mut connection = http::Connection::new(stream);
    while let Ok(Some(head)) = connection.request().await {
        if !answer::answer(&mut connection, &shared, head).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
