//! The few network interface operations that isolation needs, on the network of the calling thread, by rtnetlink(7).
//! No tool is started: an engine's host need not have one, and a restore would wait for it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::thread;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The loopback interface has this index in every network.
pub(crate) const LOOPBACK: u32 = 1;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub is_up: bool,
    /// Whether frames pass (Linux, `IFF_RUNNING`): a moment after it was switched on.
    pub is_running: bool,
    /// Its hardware address; empty where it has none.
    pub hardware: Vec<u8>,
    /// The index of a veth's other end, in the network where that is.
    pub veth_peer: Option<u32>,
}

/// Does something in the network of a process, on a thread of its own.
pub(crate) fn in_network_of<T: Send>(pid: i32, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let network = File::open(format!("/proc/{pid}/ns/net"))?;
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        });
        worker.join().unwrap_or_else(|_| Err(io::Error::other("a network operation panicked")))
    })
}

/// All interfaces.
pub(crate) fn links() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    request(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewLink(message) = answer {
            links.push(link(message));
        }
    })?;
    Ok(links)
}

fn link(message: LinkMessage) -> Link {
    let is_up = message.header.flags.contains(LinkFlags::Up);
    let is_running = message.header.flags.contains(LinkFlags::Running);
    let (index, name, hardware) = (message.header.index, String::new(), Vec::new());
    let mut link = Link { index, name, is_up, is_running, hardware, veth_peer: None };
    let (mut other_end, mut is_veth) = (None, false);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(address) => link.hardware = address,
            LinkAttribute::Link(index) => other_end = Some(index),
            LinkAttribute::LinkInfo(infos) => is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth)),
            _ => {}
        }
    }
    link.veth_peer = other_end.filter(|_| is_veth);
    link
}

/// Switches an interface on or off.
pub(crate) fn set_up(index: u32, up: bool) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    request(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, |_| {})
}

/// Gives loopback an address, or takes it away.
pub(crate) fn set_loopback_address(address: Ipv4Addr, present: bool) -> io::Result<()> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.index = LOOPBACK;
    let address = IpAddr::V4(address);
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    if present {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        return request(RouteNetlinkMessage::NewAddress(message), flags, |_| {});
    }
    absent_is_fine(request(RouteNetlinkMessage::DelAddress(message), NLM_F_ACK, |_| {}))
}

/// A default route over loopback that every other one beats, or its removal: sockets can be bound and connected before
/// there is a network.
pub(crate) fn set_loopback_route(present: bool) -> io::Result<()> {
    const METRIC: u32 = 9999;
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![RouteAttribute::Oif(LOOPBACK), RouteAttribute::Priority(METRIC)];
    if present {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        return request(RouteNetlinkMessage::NewRoute(message), flags, |_| {});
    }
    absent_is_fine(request(RouteNetlinkMessage::DelRoute(message), NLM_F_ACK, |_| {}))
}

/// Forgets where a neighbour is, on all interfaces. One that is being asked for stays: without its entry the kernel would
/// fail whoever waits for the answer.
pub(crate) fn delete_neighbour(address: Ipv4Addr) -> io::Result<()> {
    let mut known = Vec::new();
    let mut all = NeighbourMessage::default();
    all.header.family = AddressFamily::Inet;
    request(RouteNetlinkMessage::GetNeighbour(all), NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewNeighbour(message) = answer {
            let destination = NeighbourAttribute::Destination(NeighbourAddress::Inet(address));
            if message.attributes.contains(&destination) && message.header.state != NeighbourState::Incomplete
            {
                known.push(message.header.ifindex);
            }
        }
    })?;
    for index in known {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(address))];
        match request(RouteNetlinkMessage::DelNeighbour(message), NLM_F_ACK, |_| {}) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Where packets go for which there is no other way.
pub(crate) fn gateway() -> io::Result<Option<Ipv4Addr>> {
    let mut found = None;
    let mut all = RouteMessage::default();
    all.header.address_family = AddressFamily::Inet;
    request(RouteNetlinkMessage::GetRoute(all), NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewRoute(message) = answer
            && message.header.destination_prefix_length == 0
        {
            found = found.or(message.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
                _ => None,
            }));
        }
    })?;
    Ok(found)
}

/// Knows where a neighbour is without asking; what waits for it goes at once.
pub(crate) fn set_neighbour(index: u32, address: Ipv4Addr, hardware: &[u8]) -> io::Result<()> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Reachable;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
        NeighbourAttribute::LinkLayerAddress(hardware.to_vec()),
    ];
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    request(RouteNetlinkMessage::NewNeighbour(message), flags, |_| {})
}

/// ESRCH: no such route. EADDRNOTAVAIL: no such address.
fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error)
            if error.kind() == ErrorKind::AddrNotAvailable
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

fn request(
    message: RouteNetlinkMessage,
    flags: u16,
    mut each: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    loop {
        let (received, _) = socket.recv_from_full()?;
        let mut rest = &received[..];
        while !rest.is_empty() {
            let answer =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            // Messages are padded to four bytes (netlink(7)).
            let length = (answer.header.length as usize).next_multiple_of(4);
            rest = rest.get(length.max(1)..).unwrap_or_default();
            match answer.payload {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(inner) => each(inner),
                _ => {}
            }
        }
    }
}
