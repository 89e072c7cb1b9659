//! From what started a process to the ways to its other ranks and the watch over them.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::control::{Carrier, Control, Options};
use super::fault::Fault;
use super::launch::{Launch, Rendezvous, Via};
use super::local::local;
use super::message::Message;
use super::pulse::Pulse;
use super::rendezvous::{Meeting, Told, own_host};
#[cfg(feature = "mpi")]
use super::tcp::Peer;
use super::tcp::Tcp;
use super::transport::Transport;
use super::watch::Watch;
use super::watcher::{Link, Watcher};
use super::wire::Wire;
use crate::error::{Error, Result};

/// Whether this build has MPI.
pub const HAS_MPI: bool = cfg!(feature = "mpi");

/// Longest attempt to connect to one of rank 0's addresses.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection may take for its first message.
const GREETING: Duration = Duration::from_secs(5);
/// How often a listener is asked.
const RETRY: Duration = Duration::from_millis(10);

/// Connects this process to its other ranks, and begins to watch them by what they show in their pulses. The watch has to be told
/// how the training ends, by the thread that called this.
///
/// # Errors
/// Where the build has no way between the ranks, or ranks do not come; it says which, and what to do.
pub fn connect(launch: &Launch, options: Options, pulse: Arc<Pulse>) -> Result<(Box<dyn Transport>, Watch)> {
    match launch.via(HAS_MPI, options.carrier)? {
        Via::Nothing => {
            let alone = local(1).pop().ok_or_else(|| Error::Ranks("no rank was made".to_owned()))?;
            Ok((alone, Watch::alone(pulse)))
        }
        Via::Mpi => by_mpi(launch, options, pulse),
        Via::Tcp(at) => by_tcp(launch, &at, options, pulse),
    }
}

fn by_tcp(
    launch: &Launch,
    at: &Rendezvous,
    options: Options,
    pulse: Arc<Pulse>,
) -> Result<(Box<dyn Transport>, Watch)> {
    if options.carrier == Carrier::Mpi {
        return Err(Error::Ranks(if HAS_MPI {
            let launcher = launch.launcher.name();
            format!(
                "`--ranks-by mpi`: MPI knows no ranks that {launcher} started; use mpirun, or srun with an MPI that knows Slurm"
            )
        } else {
            "`--ranks-by mpi`: this build has no MPI; `cargo build --release --features mpi` makes one"
                .to_owned()
        }));
    }
    let (rank, size, limit) = (launch.rank, launch.size, options.meet);
    let told = Told::Variables;
    let peers = Meeting { rank, size, at, until: Instant::now() + limit, limit, told }.meet()?;
    let fault = Arc::new(Fault::default());
    let mut tcp = Tcp::new(rank, peers, Arc::clone(&fault), options.answer);
    let links = links(&mut tcp, Some(&at.host), &options)?;
    let watcher = Watcher::new([rank, size], own_host(), links, Control::new(fault, pulse), options);
    Ok((Box::new(tcp), Watch::start(watcher, None)?))
}

#[cfg(feature = "mpi")]
fn by_mpi(launch: &Launch, options: Options, pulse: Arc<Pulse>) -> Result<(Box<dyn Transport>, Watch)> {
    use super::{mpi, network};

    let fault = Arc::new(Fault::default());
    let launcher = launch.launcher.name();
    let (mut mpi, session) = mpi::start(launch.size, launcher, Arc::clone(&fault), options.answer)?;
    let links = links(&mut mpi, None, &options)?;
    let [rank, size] = [mpi.rank(), mpi.size()];
    let neighbours = mpi::neighbours(&mpi)?;
    let transport: Box<dyn Transport> = if network::is_tcp(&mut mpi, options.carrier, neighbours)? {
        let peers = beside(&mut mpi, &links, options.meet)?;
        let tcp = Tcp::new(rank, peers, Arc::clone(&fault), options.answer);
        Box::new(tcp.met_by(&mpi.describe()))
    } else {
        Box::new(mpi)
    };
    let watcher = Watcher::new([rank, size], own_host(), links, Control::new(fault, pulse), options);
    Ok((transport, Watch::start(watcher, Some(Box::new(move || session.finish())))?))
}

/// Connections beside a transport, by which rank 0 tells where it listens. Those of the watch have shown how it is reached.
#[cfg(feature = "mpi")]
fn beside(transport: &mut dyn Transport, links: &[Link], limit: Duration) -> Result<Vec<Peer>> {
    let (rank, size) = (transport.rank(), transport.size());
    let lost = |error: io::Error| Error::Ranks(format!("rank {rank} is not to be connected by TCP: {error}"));
    let mut told = (token(), 0);
    let listener = if rank == 0 { Some(listen().map_err(lost)?) } else { None };
    let host = match &listener {
        Some(listener) => {
            told.1 = listener.local_addr().map_err(lost)?.port();
            own_host()
        }
        None => links[0].address().map_err(lost)?.to_string(),
    };
    let text =
        if rank == 0 { serde_json::to_vec(&told).map_err(|error| lost(error.into()))? } else { Vec::new() };
    let (token, port) =
        serde_json::from_slice(&spread(transport, text)?).map_err(|error| lost(error.into()))?;
    let (at, told) = (Rendezvous { host, port }, Told::Mpi { token, listener });
    Meeting { rank, size, at: &at, until: Instant::now() + limit, limit, told }.meet()
}

/// Never called: without MPI, [`Launch::via`] gives another way or an error.
#[cfg(not(feature = "mpi"))]
fn by_mpi(launch: &Launch, options: Options, _pulse: Arc<Pulse>) -> Result<(Box<dyn Transport>, Watch)> {
    launch.via(false, options.carrier)?;
    Err(Error::Ranks("this build has no MPI".to_owned()))
}

/// Where rank 0 hears the others.
#[derive(Default, Serialize, Deserialize)]
struct Hub {
    token: u64,
    /// Names or addresses of its host, to be tried in this order.
    hosts: Vec<String>,
    port: u16,
}

/// A number that no other training has, so that its ranks know each other.
fn token() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Connections for the watches of all ranks; the transport tells where.
fn links(transport: &mut dyn Transport, known: Option<&str>, options: &Options) -> Result<Vec<Link>> {
    let (rank, size) = (transport.rank(), transport.size());
    let until = Instant::now() + options.meet;
    if rank != 0 {
        let text = spread(transport, Vec::new())?;
        let hub = serde_json::from_slice(&text);
        let hub: Hub = hub.map_err(|error| Error::Ranks(format!("rank 0 sends no addresses: {error}")))?;
        return Ok(vec![reach(rank, &hub, until)?]);
    }
    let deaf = |error: io::Error| Error::Ranks(format!("rank 0 cannot listen: {error}"));
    let listener = listen().map_err(deaf)?;
    let port = listener.local_addr().map_err(deaf)?.port();
    let token = token();
    let text = serde_json::to_vec(&Hub { token, hosts: hosts(known), port });
    spread(transport, text.map_err(|error| Error::Ranks(error.to_string()))?)?;
    accept(&listener, size, token, until)
}

/// What rank 0 has, on all ranks.
fn spread(transport: &mut dyn Transport, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut len = (bytes.len() as u64).to_le_bytes();
    transport.broadcast(&mut len)?;
    bytes.resize(u64::from_le_bytes(len) as usize, 0);
    transport.broadcast(&mut bytes)?;
    Ok(bytes)
}

fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Rank 0: connections of all others.
fn accept(listener: &TcpListener, size: usize, token: u64, until: Instant) -> Result<Vec<Link>> {
    let mut links: Vec<Option<Link>> = (1..size).map(|_| None).collect();
    while let Some(missing) = links.iter().position(Option::is_none) {
        if Instant::now() >= until {
            return Err(Error::Ranks(format!(
                "rank {} does not connect to rank 0, which watches whether all are alive: a firewall between the hosts has to let \
                 ranks connect to each other",
                missing + 1
            )));
        }
        // Whoever breaks off, or has another token, is a stranger.
        let wire = listener.accept().and_then(|(stream, _)| Wire::new(stream));
        let Ok(mut wire) = wire else {
            std::thread::sleep(RETRY);
            continue;
        };
        let Ok(Message::Hello { token: theirs, rank, host }) = wire.receive(Instant::now() + GREETING) else {
            continue;
        };
        let free = rank > 0 && links.get(rank - 1).is_some_and(Option::is_none);
        let welcome = Message::Hello { token, rank: 0, host: own_host() };
        if theirs == token && free && wire.send(&welcome, GREETING).is_ok() {
            links[rank - 1] = Some(Link::new(rank, host, wire));
        }
    }
    Ok(links.into_iter().flatten().collect())
}

/// Any other rank: the first of rank 0's addresses that leads to it.
fn reach(rank: usize, hub: &Hub, until: Instant) -> Result<Link> {
    let mut tried = Vec::new();
    for host in &hub.hosts {
        match greet(rank, hub, host) {
            Ok(link) => return Ok(link),
            Err(error) => tried.push(format!("{host}:{}: {error}", hub.port)),
        }
        if Instant::now() >= until {
            break;
        }
    }
    Err(Error::Ranks(format!(
        "rank {rank} on {} does not reach rank 0, which watches whether all are alive: {}\nA firewall between the hosts has to let ranks \
         connect to each other.",
        own_host(),
        tried.join("; ")
    )))
}

fn greet(rank: usize, hub: &Hub, host: &str) -> io::Result<Link> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, hub.port).to_socket_addrs()? {
        let stream = match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let mut wire = Wire::new(stream)?;
        wire.send(&Message::Hello { token: hub.token, rank, host: own_host() }, GREETING)?;
        if let Message::Hello { token, host, .. } = wire.receive(Instant::now() + GREETING)?
            && token == hub.token
        {
            return Ok(Link::new(0, host, wire));
        }
    }
    Err(last)
}

/// Where other hosts may find this one: what is known, what its name leads to, its own addresses; itself at last.
fn hosts(known: Option<&str>) -> Vec<String> {
    let named = (own_host().as_str(), 0).to_socket_addrs().into_iter().flatten().map(|address| address.ip());
    let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let outside = named.chain(addresses(&table)).filter(|address| !address.is_loopback());
    let mut hosts: Vec<String> = known.map(str::to_owned).into_iter().collect();
    for host in outside.chain([Ipv4Addr::LOCALHOST.into()]).map(|address| address.to_string()) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// This host's addresses in Linux's table of routes: a line with the address, then one that says that it is local.
fn addresses(table: &str) -> Vec<IpAddr> {
    let lines = table.lines().zip(table.lines().skip(1));
    let local = lines.filter(|(_, kind)| kind.trim() == "/32 host LOCAL");
    local.filter_map(|(address, _)| address.trim().strip_prefix("|-- ")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_off_the_table_of_routes() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.1.0.7\n        /32 host LOCAL\n     \
                     |-- 10.1.0.255\n        /32 link BROADCAST\n";
        assert_eq!(addresses(table), [IpAddr::from([10, 1, 0, 7])]);
        assert_eq!(hosts(Some("node0"))[0], "node0");
        assert_eq!(hosts(None).last().map(String::as_str), Some("127.0.0.1"));
    }
}
