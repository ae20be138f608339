//! A line to a router or a control plane that can be cut.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A line that passes every connection on while it is whole.
pub struct Line {
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Line {
    pub async fn to(far: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, far, state.clone()));
            }
        });
        Self { address, whole }
    }

    /// Ends every connection, and lets none through.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn pass(mut near: TcpStream, far: SocketAddr, mut whole: watch::Receiver<bool>) {
    let passing = async {
        let mut far = TcpStream::connect(far).await?;
        copy_bidirectional(&mut near, &mut far).await
    };
    // A line that was cut and mended in between was cut for this connection too.
    if *whole.borrow_and_update() {
        tokio::select! { _ = passing => {}, _ = whole.changed() => {} }
    }
}
