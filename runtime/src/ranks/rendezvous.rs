//! How ranks that send by TCP find each other: all connect to rank 0, which tells each where the others listen; then each connects to
//! all ranks below it.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::launch::Rendezvous;
use super::tcp::Peer;
use super::wire::Wire;
use crate::error::{Error, Result};
use crate::hostname::hostname;

/// Both sides of a handshake have to say it.
const PROTOCOL: &str = "resnetc ranks 1";
/// How long a connection may take to say who it is: strangers say nothing.
const GREETING: Duration = Duration::from_secs(5);
/// How often is tried again what is not there yet.
const RETRY: Duration = Duration::from_millis(20);
/// Longest attempt to connect to one address.
const CONNECT: Duration = Duration::from_secs(5);

/// What to do where ranks that MPI started do not meet.
const BY_MPI: &str = "A firewall between the hosts has to let ranks connect to each other; with `--ranks-by mpi` all goes by MPI.";

/// A rank that wants to meet the others.
pub(super) struct Meeting<'a> {
    pub rank: usize,
    pub size: usize,
    pub at: &'a Rendezvous,
    /// When it gives up.
    pub until: Instant,
    /// From its begin to `until`, for messages.
    pub limit: Duration,
    /// Who told the ranks where rank 0 is.
    pub told: Told,
}

/// Who told ranks where they meet.
pub(super) enum Told {
    /// Whoever set the variables: rank 0 still has to listen there.
    Variables,
    /// MPI, which started them and spread the number.
    #[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "without MPI only variables tell"))]
    Mpi {
        /// Of this training alone.
        token: u64,
        /// Rank 0's, which listened before the others were told where.
        listener: Option<TcpListener>,
    },
}

/// What a rank says first.
#[derive(Serialize, Deserialize)]
struct Hello {
    protocol: String,
    /// That of [`Told::Mpi`].
    #[serde(default)]
    token: u64,
    size: usize,
    rank: usize,
    host: String,
    /// Where it listens.
    port: u16,
}

/// What rank 0 answers.
#[derive(Serialize, Deserialize)]
enum Answer {
    /// The process is none of this training's, or the ranks did not all come.
    Refused { why: String },
    /// All ranks, by their numbers.
    All(Vec<Place>),
}

/// Where a rank listens.
#[derive(Clone, Serialize, Deserialize)]
struct Place {
    host: String,
    /// None is where rank 0 is: seen from there, a rank of the same host may come from an address that others cannot reach.
    address: Option<IpAddr>,
    port: u16,
}

impl Meeting<'_> {
    /// Connections to all other ranks, by their numbers.
    ///
    /// # Errors
    /// Which ranks did not come in time, and what to look at; or why rank 0 refuses this one.
    pub(super) fn meet(&self) -> Result<Vec<Peer>> {
        if self.rank == 0 { self.receive_all() } else { self.join() }
    }

    /// Rank 0: waits for all, and tells each of the others.
    fn receive_all(&self) -> Result<Vec<Peer>> {
        let own;
        let listener = match &self.told {
            Told::Mpi { listener: Some(listener), .. } => listener,
            Told::Mpi { listener: None, .. } | Told::Variables => {
                own = listen(self.listening_address(), self.at.port).map_err(|error| self.no_port(&error))?;
                &own
            }
        };
        let mut came: Vec<Option<(Wire, Place)>> = (0..self.size).map(|_| None).collect();
        while came[1..].iter().any(Option::is_none) {
            let Some((wire, address)) = self.accept(listener)? else {
                return Err(self.give_up(came));
            };
            let Some((mut wire, hello)) = greeted(wire) else { continue };
            match self.fault_of(&hello, &came) {
                Some(why) => drop(wire.send(&Answer::Refused { why }, GREETING)),
                None => {
                    let address = Some(address.to_canonical()).filter(|address| !address.is_loopback());
                    came[hello.rank] = Some((wire, Place { host: hello.host, address, port: hello.port }));
                }
            }
        }
        let own = Place { host: own_host(), address: None, port: self.at.port };
        let place =
            |rank: &Option<(Wire, Place)>| rank.as_ref().map_or(own.clone(), |(_, place)| place.clone());
        let answer = Answer::All(came.iter().map(place).collect());
        let ranks = came.into_iter().enumerate().filter_map(|(rank, came)| Some((rank, came?)));
        ranks
            .map(|(rank, (mut wire, place))| {
                let sent = wire.send(&answer, GREETING);
                sent.map_err(|error| Error::Ranks(format!("rank {rank} on {}: {error}", place.host)))?;
                Ok(Peer { rank, host: place.host, stream: wire.into_stream() })
            })
            .collect()
    }

    /// Any other rank: asks rank 0, connects to the ranks below, waits for those above.
    fn join(&self) -> Result<Vec<Peer>> {
        let (stream, master) = self.connect_to_master()?;
        let local = stream.local_addr().map_err(|error| self.no_master(&error))?.ip().to_canonical();
        // A name may lead to this host by an address that only this host has.
        let hidden = local.is_loopback() && !self.on_loopback();
        let own =
            listen(if hidden { unspecified() } else { local }, 0).map_err(|error| self.no_port(&error))?;
        let port = own.local_addr().map_err(|error| self.no_port(&error))?.port();
        let hello = self.hello(port);
        let mut wire = Wire::new(stream).map_err(|error| self.no_master(&error))?;
        wire.send(&hello, GREETING).map_err(|error| self.no_master(&error))?;
        // Rank 0 gives up first, and says who is missing.
        let answer = wire.receive(self.until + GREETING).map_err(|error| self.no_master(&error))?;
        let places = match answer {
            Answer::All(places) => places,
            Answer::Refused { why } => return Err(Error::Ranks(why)),
        };
        let mut peers = vec![Peer { rank: 0, host: places[0].host.clone(), stream: wire.into_stream() }];
        for (rank, place) in places.iter().enumerate().take(self.rank).skip(1) {
            peers.push(self.connect_to_peer(rank, place, master)?);
        }
        self.accept_above(&own, &places, &mut peers)?;
        peers.sort_by_key(|peer| peer.rank);
        Ok(peers)
    }

    fn connect_to_peer(&self, rank: usize, place: &Place, master: IpAddr) -> Result<Peer> {
        let address = SocketAddr::new(place.address.unwrap_or(master), place.port);
        let host = place.host.clone();
        let lost = |error: io::Error| {
            Error::Ranks(format!(
                "rank {} cannot connect to rank {rank} on {host} at {address}: {error}\nRanks connect to each other by any port: a firewall \
                 between the hosts has to let them.",
                self.rank
            ))
        };
        let stream = TcpStream::connect_timeout(&address, CONNECT).map_err(lost)?;
        let mut wire = Wire::new(stream).map_err(lost)?;
        wire.send(&self.hello(0), GREETING).map_err(lost)?;
        Ok(Peer { rank, host: place.host.clone(), stream: wire.into_stream() })
    }

    /// Waits for the ranks with larger numbers.
    fn accept_above(&self, own: &TcpListener, places: &[Place], peers: &mut Vec<Peer>) -> Result<()> {
        let mut missing: Vec<usize> = (self.rank + 1..self.size).collect();
        while !missing.is_empty() {
            let Some((wire, _)) = self.accept(own)? else {
                return Err(Error::Ranks(format!(
                    "rank {} waited {} s for {} to connect: a firewall between the hosts has to let ranks connect to each other",
                    self.rank,
                    self.limit.as_secs(),
                    ranks(&missing)
                )));
            };
            let Some((wire, hello)) = greeted(wire) else { continue };
            if self.is_of_this_training(&hello) && missing.contains(&hello.rank) {
                missing.retain(|&rank| rank != hello.rank);
                let host = places[hello.rank].host.clone();
                peers.push(Peer { rank: hello.rank, host, stream: wire.into_stream() });
            }
        }
        Ok(())
    }

    /// The next connection and where it comes from; none when the time is over.
    fn accept(&self, listener: &TcpListener) -> Result<Option<(Wire, IpAddr)>> {
        while Instant::now() < self.until {
            match listener.accept() {
                // One that is broken already is a stranger's.
                Ok((stream, from)) => match Wire::new(stream) {
                    Ok(wire) => return Ok(Some((wire, from.ip()))),
                    Err(_) => continue,
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => return Err(self.no_port(&error)),
            }
        }
        Ok(None)
    }

    /// Tries until rank 0 listens.
    fn connect_to_master(&self) -> Result<(TcpStream, IpAddr)> {
        loop {
            let error = match (self.at.host.as_str(), self.at.port).to_socket_addrs() {
                Ok(addresses) => {
                    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
                    for address in addresses {
                        match TcpStream::connect_timeout(&address, CONNECT) {
                            Ok(stream) => return Ok((stream, address.ip())),
                            Err(error) => last = error,
                        }
                    }
                    last
                }
                Err(error) => error,
            };
            if Instant::now() >= self.until {
                return Err(self.no_master(&error));
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Why a process that says this is none of the ranks.
    fn fault_of(&self, hello: &Hello, came: &[Option<(Wire, Place)>]) -> Option<String> {
        let Hello { protocol, size, rank, host, .. } = hello;
        let who = format!("rank 0 refuses rank {rank} on {host}");
        if protocol != PROTOCOL {
            return Some(format!(
                "{who}: it speaks `{protocol}`, rank 0 `{PROTOCOL}`. Start the same build on all hosts."
            ));
        }
        if hello.token != self.token() {
            return Some(format!("{who}: it is of another training"));
        }
        if *size != self.size {
            return Some(format!(
                "{who}: its WORLD_SIZE is {size}, rank 0's is {}. Another training may have the same MASTER_PORT.",
                self.size
            ));
        }
        match came.get(*rank) {
            Some(None) if *rank > 0 => None,
            Some(Some((_, place))) => Some(format!(
                "{who}: {} has come as rank {rank} already. Give each process a RANK of its own; another training may have the same MASTER_PORT.",
                place.host
            )),
            _ => Some(format!("{who}: RANK has to be from 1 to {}", self.size - 1)),
        }
    }

    /// Rank 0's error when the time is over; those that came get it, too.
    fn give_up(&self, came: Vec<Option<(Wire, Place)>>) -> Error {
        let missing: Vec<usize> = (1..self.size).filter(|&rank| came[rank].is_none()).collect();
        let Rendezvous { host, port } = self.at;
        let why = format!(
            "rank 0 waited {} s at {host}:{port} for {} of {}\n{}",
            self.limit.as_secs(),
            ranks(&missing),
            self.size,
            match self.told {
                Told::Variables => format!(
                    "Start each with its RANK and with WORLD_SIZE={}, MASTER_ADDR={host} and the same MASTER_PORT; hosts have to reach that \
                     address, and a firewall may close the port.",
                    self.size
                ),
                Told::Mpi { .. } => BY_MPI.to_owned(),
            }
        );
        for (mut wire, _) in came.into_iter().flatten() {
            drop(wire.send(&Answer::Refused { why: why.clone() }, GREETING));
        }
        Error::Ranks(why)
    }

    fn hello(&self, port: u16) -> Hello {
        let (protocol, token) = (PROTOCOL.to_owned(), self.token());
        Hello { protocol, token, size: self.size, rank: self.rank, host: own_host(), port }
    }

    fn token(&self) -> u64 {
        match self.told {
            Told::Variables => 0,
            Told::Mpi { token, .. } => token,
        }
    }

    fn is_of_this_training(&self, hello: &Hello) -> bool {
        hello.protocol == PROTOCOL && hello.token == self.token() && hello.size == self.size
    }

    fn no_master(&self, error: &io::Error) -> Error {
        let Rendezvous { host, port } = self.at;
        Error::Ranks(format!(
            "rank {} does not reach rank 0 at {host}:{port}: {error} (tried for {} s)\n{}",
            self.rank,
            self.limit.as_secs(),
            match self.told {
                Told::Variables =>
                    "MASTER_ADDR has to be the host of rank 0 as all others see it, and rank 0 has to be started with the same MASTER_PORT.",
                Told::Mpi { .. } => BY_MPI,
            }
        ))
    }

    fn no_port(&self, error: &io::Error) -> Error {
        let Rendezvous { host, port } = self.at;
        Error::Ranks(format!(
            "rank {} cannot listen for other ranks ({host}:{port}): {error}\n{}",
            self.rank,
            match self.told {
                Told::Variables => "Set MASTER_PORT to a port that nothing uses, the same for all ranks.",
                Told::Mpi { .. } => BY_MPI,
            }
        ))
    }

    /// Whether the ranks meet within one host by a name or address that says so.
    fn on_loopback(&self) -> bool {
        self.at.host == "localhost" || self.at.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// Where rank 0 listens: to this host alone where that is enough.
    fn listening_address(&self) -> IpAddr {
        match self.at.host.parse() {
            Ok(address) if self.on_loopback() => address,
            _ if self.on_loopback() => Ipv4Addr::LOCALHOST.into(),
            _ => unspecified(),
        }
    }
}

/// All addresses of this host.
fn unspecified() -> IpAddr {
    Ipv6Addr::UNSPECIFIED.into()
}

/// Listens there; where the host has no IPv6, all addresses are those of IPv4.
fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let listener = match TcpListener::bind((address, port)) {
        Err(error) if address == unspecified() && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        bound => bound,
    }?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A connection that has said who it is; none for strangers.
fn greeted(mut wire: Wire) -> Option<(Wire, Hello)> {
    let hello = wire.receive(Instant::now() + GREETING).ok()?;
    Some((wire, hello))
}

/// `rank 1`, `ranks 1, 3`; of many the first.
fn ranks(numbers: &[usize]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = numbers.iter().take(SHOWN).map(usize::to_string).collect();
    let word = if numbers.len() == 1 { "rank" } else { "ranks" };
    let more = numbers.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{word} {}{more}", shown.join(", "))
}

/// This host's name, or a word for one that has none.
pub fn own_host() -> String {
    hostname().unwrap_or_else(|| "a host without a name".to_owned())
}
