//! Traffic for benchmarks through veth: small frames as fast as one core sends them, and UDP round
//! trips one at a time. Each subcommand prints one JSON object.
//!
//! * `send INTERFACE DESTINATION-MAC SOURCE DESTINATION SECONDS RATE`: 60-byte UDP frames (64 with
//!   the check sequence) of 64 flows, by sendmmsg on an AF_PACKET socket past the queueing
//!   discipline; RATE in packets per second, 0 for as many as it can.
//! * `echo PORT`: sends datagrams back until it is killed.
//! * `ping ADDRESS PORT COUNT`: the percentiles of COUNT round trips, in microseconds.

use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An Ethernet frame without its check sequence, at its shortest.
const FRAME: usize = 60;
const FLOWS: u16 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["send", interface, mac, source, destination, seconds, rate] => {
            send(interface, mac, [source, destination], seconds, rate)
        }
        ["echo", port] => echo(port),
        ["ping", address, port, count] => ping(address, port, count),
        _ => Err("usage: send | echo | ping".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-load: {error}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn send(interface: &str, mac: &str, addresses: [&str; 2], seconds: &str, rate: &str) -> Done {
    let socket = packet_socket(interface)?;
    let source: Ipv4Addr = addresses[0].parse()?;
    let destination: Ipv4Addr = addresses[1].parse()?;
    let mut mac_bytes = [0; 6];
    for (byte, text) in mac_bytes.iter_mut().zip(mac.split(':')) {
        *byte = u8::from_str_radix(text, 16)?;
    }
    let duration = Duration::from_secs_f64(seconds.parse()?);
    let rate: f64 = rate.parse()?;
    let mut frames: Vec<[u8; FRAME]> =
        (0..FLOWS).map(|flow| frame(mac_bytes, source, destination, flow)).collect();
    let mut pieces: Vec<libc::iovec> = frames
        .iter_mut()
        .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: FRAME })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = pieces
        .iter_mut()
        .map(|piece| {
            // SAFETY: all zeroes is a message with no address, no pieces and no control data.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();

    let (start, mut sent) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        if rate > 0.0 && sent as f64 > start.elapsed().as_secs_f64() * rate {
            sleep(Duration::from_micros(50));
            continue;
        }
        let count = libc::c_uint::from(FLOWS);
        // SAFETY: `messages` holds `count` headers, which point to pieces and frames that live
        // until the loop is over.
        let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        // A full queue is not an error here: what was not taken is not counted as sent.
        sent += u64::try_from(done).unwrap_or(0);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"sent\": {sent}, \"seconds\": {seconds}}}");
    Ok(())
}

/// An AF_PACKET socket that sends on an interface, past its queueing discipline.
fn packet_socket(interface: &str) -> io::Result<OwnedFd> {
    let name = CString::new(interface)?;
    // SAFETY: `name` is a string that ends in zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: no pointers are passed.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if index == 0 || socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, and its size is given.
    let bypassed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    // SAFETY: all zeroes is an address of family 0, and is filled in below.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    // SAFETY: the address is a sockaddr_ll, and its size is given.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if bypassed < 0 || bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn frame(mac: [u8; 6], source: Ipv4Addr, destination: Ipv4Addr, flow: u16) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&mac);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17]);
    frame[26..30].copy_from_slice(&source.octets());
    frame[30..34].copy_from_slice(&destination.octets());
    frame[34..36].copy_from_slice(&(20_000 + flow).to_be_bytes());
    // The port for discarding (RFC 863); no UDP checksum, which IPv4 allows.
    frame[36..42].copy_from_slice(&[0, 9, 0, 26, 0, 0]);
    let words = frame[14..34].chunks_exact(2);
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    frame[24..26].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    frame
}

fn echo(port: &str) -> Done {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port.parse()?))?;
    let mut bytes = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut bytes)?;
        socket.send_to(&bytes[..length], from)?;
    }
}

fn ping(address: &str, port: &str, count: &str) -> Done {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((address, port.parse()?))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let count: u32 = count.parse()?;
    let (mut trips, mut lost) = (Vec::new(), 0_u32);
    let mut bytes = [0; 64];
    for number in 0..count {
        let start = Instant::now();
        socket.send(&number.to_be_bytes())?;
        // An answer that comes after its second is not taken for the next one's.
        let answered = loop {
            match socket.recv(&mut bytes) {
                Ok(_) if bytes[..4] == number.to_be_bytes() => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        if answered {
            trips.push(start.elapsed());
        } else {
            lost += 1;
        }
    }
    trips.sort();
    let at = |share: f64| {
        let place = (trips.len() as f64 * share) as usize;
        trips.get(place).map_or(0.0, |trip| trip.as_secs_f64() * 1e6)
    };
    println!(
        "{{\"lost\": {lost}, \"p50\": {:.1}, \"p90\": {:.1}, \"p99\": {:.1}, \"p999\": {:.1}}}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    );
    Ok(())
}
