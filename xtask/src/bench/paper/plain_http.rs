//! The least that a web server can do: it takes a file by PUT and gives it by GET. What raw tools talk to, in place of the control plane.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};

/// A running server; it ends when dropped.
pub(super) struct PlainHttp {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PlainHttp {
    /// One that keeps its files in `folder`.
    pub(super) fn start(address: Ipv4Addr, folder: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).context("cannot listen for raw tools")?;
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if is_told.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) =
                    connection.map_err(Into::into).and_then(|connection| serve(&connection, &folder))
                {
                    eprintln!("the plain web server: {error:#}");
                }
            }
        });
        Ok(Self { address, is_over, thread: Some(thread) })
    }

    /// The address of a file.
    pub(super) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

impl Drop for PlainHttp {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request of one connection.
fn serve(mut connection: &TcpStream, folder: &Path) -> Result<()> {
    let mut reader = BufReader::new(connection);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0_u64;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = path.trim_start_matches('/');
    if name.contains(['/', '.']) && name != "app.tar.gz" {
        bail!("it has no {name}");
    }
    let file = folder.join(name);
    match method {
        "PUT" => {
            let mut stored = File::create(&file)?;
            io::copy(&mut reader.take(length), &mut stored)?;
            // The control plane answers for what is on its disk, too.
            stored.sync_all()?;
            write!(connection, "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        }
        "GET" => {
            let mut stored = File::open(&file)?;
            let length = stored.metadata()?.len();
            write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
            io::copy(&mut stored, &mut connection)?;
        }
        _ => bail!("it cannot {method}"),
    }
    Ok(())
}
