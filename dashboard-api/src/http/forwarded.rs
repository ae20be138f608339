//! Whose address a request is from, where a proxy stands before us. Only proxies that are trusted by configuration are
//! believed: anybody can send the header.

use std::net::IpAddr;

use warp::http::HeaderMap;

/// Each proxy adds at the end whom it was reached by. So from the end, the first that is no trusted proxy is the client;
/// what stands before it is the client's own claim.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.contains(&address.to_canonical());
    if !is_trusted(&peer) {
        return peer;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use warp::http::HeaderValue;

    use super::*;

    /// Nobody may choose the address that they are counted by, and those behind a proxy must not share its own.
    #[test]
    fn only_trusted_proxies_are_believed() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = [address("127.0.0.1"), address("10.0.0.1")];
        let client = |peer: &str, hops: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for hop in hops {
                headers.append("x-forwarded-for", HeaderValue::from_static(hop));
            }
            client_address(address(peer), &headers, &trusted).to_string()
        };
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["203.0.113.9, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["203.0.113.9", "198.51.100.7, 10.0.0.1"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["198.51.100.7, nonsense"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }
}
