//! Which process listens at a port of this machine, by the system's own tables.

use std::fs;

/// The process that listens where a URL leads; none if it is not found.
pub(super) fn process(url: &str) -> Option<u32> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let port: u16 = authority.rsplit_once(':')?.1.parse().ok()?;
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inode = tables.iter().find_map(|table| inode(table, port))?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files
            .any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str()))
            .then_some(id)
    })
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode`, numbers in hexadecimal; 0A is listening.
fn inode(table: &str, port: u16) -> Option<&str> {
    let port = format!(":{port:04X}");
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1)?.ends_with(&port) && *words.get(3)? == "0A";
        is_it.then(|| words.get(9).copied())?
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        assert_eq!(process(&url), Some(std::process::id()));
    }
}
