//! A port at which no connection stands: somebody listens, nobody accepts, and
//! the queue is full. Whoever knocks hears nothing, as where packets are lost.

use std::{net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How long a connection is waited for that does not stand at once, as it does on loopback.
const WAIT: Duration = Duration::from_millis(500);

/// Such a port, as long as this is not dropped.
#[derive(Debug)]
pub struct FullPort {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl FullPort {
    /// One on loopback.
    ///
    /// # Panics
    /// When the system takes any number of connections.
    pub async fn open() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind("127.0.0.1:0".parse().expect("an address"))
            .expect("a free port on loopback");
        let listener = socket.listen(0).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let mut queue = Vec::new();
        while let Ok(stream) = tokio::time::timeout(WAIT, TcpStream::connect(address)).await {
            queue.push(stream.expect("a place in the queue"));
            assert!(queue.len() < 1_000, "the queue is never full");
        }
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }

    /// Where nobody answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
