//! The sockets of this crate against the standard library's, over loopback.

use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use martlet_net::{Accepted, Key, Listener, Poller, ReadOutcome, Ready, Stream, WriteOutcome};

const LISTENER: Key = Key(u32::MAX);
const WAKER: Key = Key(u32::MAX - 1);
const STREAM: Key = Key(7);

/// Generous: it is reached only when the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Waits for an event that satisfies `wanted`.
fn wait_for(poller: &mut Poller, what: &str, wanted: impl Fn(&Ready) -> bool) -> Ready {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        poller.wait(Some(Duration::from_millis(200))).unwrap();
        if let Some(ready) = poller.ready().find(|ready| wanted(ready)) {
            return ready;
        }
    }
    panic!("no event: {what}");
}

fn accept(poller: &mut Poller, listener: &Listener) -> (Stream, SocketAddr) {
    loop {
        match listener.accept() {
            Accepted::Connection(stream, peer) => return (stream, peer),
            Accepted::Blocked => wait_for(poller, "accept", |ready| ready.key == LISTENER),
            Accepted::Exhausted(error) => panic!("{error}"),
        };
    }
}

/// A poller, its listener, and a connected pair of which ours is registered as `STREAM`.
fn pair() -> (Poller, Listener, Stream, TcpStream) {
    let mut poller = Poller::new(64).unwrap();
    let mut listener = Listener::bind(loopback()).unwrap();
    poller.registry().unwrap().register_listener(&mut listener, LISTENER).unwrap();
    let theirs = TcpStream::connect(listener.address()).unwrap();
    theirs.set_read_timeout(Some(DEADLINE)).unwrap();
    theirs.set_nodelay(true).unwrap();
    let (mut ours, peer) = accept(&mut poller, &listener);
    assert_eq!(peer, theirs.local_addr().unwrap());
    poller.registry().unwrap().register(&mut ours, STREAM).unwrap();
    (poller, listener, ours, theirs)
}

fn readable(poller: &mut Poller) -> Ready {
    wait_for(poller, "readable", |ready| ready.key == STREAM && ready.readable)
}

#[test]
fn bytes_go_both_ways_and_a_short_read_means_drained() {
    let (mut poller, _listener, ours, mut theirs) = pair();
    let mut buffer = [0; 64];
    assert_eq!(ours.read(&mut buffer), ReadOutcome::Blocked, "streams do not block");
    for round in 0..3u8 {
        theirs.write_all(&[round; 5]).unwrap();
        let ready = readable(&mut poller);
        assert!(!ready.read_closed && !ready.broken);
        // One read, not filled: no second one is needed for the next round's event to come.
        assert_eq!(ours.read(&mut buffer), ReadOutcome::Bytes(5));
        assert_eq!(ours.write(&[IoSlice::new(&buffer[..5])]), WriteOutcome::Complete);
        let mut echo = [9; 5];
        theirs.read_exact(&mut echo).unwrap();
        assert_eq!(echo, [round; 5]);
    }
}

#[test]
fn a_filled_buffer_leaves_the_rest_for_the_next_read() {
    let (mut poller, _listener, ours, mut theirs) = pair();
    theirs.write_all(b"abcdefgh").unwrap();
    readable(&mut poller);
    let mut buffer = [0; 5];
    assert_eq!(ours.read(&mut buffer), ReadOutcome::Bytes(5));
    assert_eq!(&buffer, b"abcde");
    assert_eq!(ours.read(&mut buffer), ReadOutcome::Bytes(3));
    assert_eq!(&buffer[..3], b"fgh");
}

#[test]
fn a_taken_port_is_an_error() {
    let listener = Listener::bind(loopback()).unwrap();
    let error = Listener::bind(listener.address()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn an_ipv6_listener_leaves_the_ipv4_port_alone() {
    let Ok(v6) = Listener::bind("[::1]:0".parse().unwrap()) else {
        return; // A machine without IPv6 has nothing to show here.
    };
    let any = Listener::bind("[::]:0".parse().unwrap()).unwrap();
    let v4 = SocketAddr::new("0.0.0.0".parse().unwrap(), any.address().port());
    Listener::bind(v4).unwrap();
    TcpStream::connect(v6.address()).unwrap();
}

#[test]
fn accepted_streams_send_small_writes_at_once() {
    let (_poller, _listener, ours, theirs) = pair();
    assert!(ours.nodelay().unwrap());
    assert_eq!(ours.peer_address().unwrap(), theirs.local_addr().unwrap());
}

#[test]
fn a_full_socket_takes_a_part_and_says_when_there_is_room() {
    let (mut poller, _listener, mut ours, mut theirs) = pair();
    const TOTAL: usize = 32 << 20;
    let pattern: Vec<u8> = (0..1 << 16).map(|i| (i % 251) as u8).collect();
    let reader = {
        let pattern = pattern.clone();
        // Begins to read only when told, so that the socket fills first.
        let (go, begin) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            begin.recv().unwrap();
            let mut got = vec![0; pattern.len()];
            for _ in 0..TOTAL / pattern.len() {
                theirs.read_exact(&mut got).unwrap();
                assert!(got == pattern, "bytes out of order");
            }
            assert_eq!(theirs.read(&mut got).unwrap(), 0, "the end after the last byte");
        });
        (go, thread)
    };
    let (mut sent, mut blocked, mut watching) = (0, 0, false);
    while sent < TOTAL {
        let at = sent % pattern.len();
        // Two slices where possible, to cross their border at every offset.
        let middle = at + (pattern.len() - at) / 2;
        let slices = [IoSlice::new(&pattern[at..middle]), IoSlice::new(&pattern[middle..])];
        match ours.write(&slices) {
            WriteOutcome::Complete => sent += pattern.len() - at,
            WriteOutcome::Blocked(part) => {
                assert!(part < pattern.len() - at);
                sent += part;
                blocked += 1;
                if !watching {
                    poller.registry().unwrap().watch_writable(&mut ours, STREAM).unwrap();
                    watching = true;
                    reader.0.send(()).unwrap();
                }
                wait_for(&mut poller, "writable", |ready| ready.key == STREAM && ready.writable);
            }
            WriteOutcome::Failed(kind) => panic!("{kind}"),
        }
    }
    assert!(blocked > 0, "32 MiB did not fit into the socket's buffers");
    ours.end_writing();
    reader.1.join().unwrap();
}

#[test]
fn a_peer_that_ends_its_direction_is_reported_and_can_still_read() {
    let (mut poller, _listener, ours, mut theirs) = pair();
    theirs.write_all(b"last words").unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    let ready = wait_for(&mut poller, "read closed", |r| r.key == STREAM && r.read_closed);
    assert!(ready.readable && !ready.broken);
    let mut buffer = [0; 64];
    assert_eq!(ours.read(&mut buffer), ReadOutcome::Bytes(10));
    assert_eq!(ours.read(&mut buffer), ReadOutcome::End);
    assert_eq!(ours.write(&[IoSlice::new(b"answer")]), WriteOutcome::Complete);
    drop(ours);
    let mut answer = Vec::new();
    theirs.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
}

#[test]
fn a_reset_is_reported_as_broken() {
    let (mut poller, _listener, ours, theirs) = pair();
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    let ready = wait_for(&mut poller, "broken", |ready| ready.key == STREAM && ready.broken);
    assert!(ready.readable && ready.read_closed);
    let outcome = ours.read(&mut [0; 8]);
    assert_eq!(outcome, ReadOutcome::Failed(std::io::ErrorKind::ConnectionReset));
    assert!(matches!(ours.write(&[IoSlice::new(b"x")]), WriteOutcome::Failed(_)));
}

#[test]
fn a_batch_of_connections_is_one_event_and_the_next_one_another() {
    let mut poller = Poller::new(64).unwrap();
    let mut listener = Listener::bind(loopback()).unwrap();
    poller.registry().unwrap().register_listener(&mut listener, LISTENER).unwrap();
    for _ in 0..2 {
        let mut peers: Vec<_> =
            (0..300).map(|_| TcpStream::connect(listener.address()).unwrap()).collect();
        wait_for(&mut poller, "accept", |ready| ready.key == LISTENER && ready.readable);
        let mut accepted = Vec::new();
        // They may arrive at the listener one by one: what is missing brings its own event.
        while accepted.len() < peers.len() {
            accepted.push(accept(&mut poller, &listener));
        }
        assert!(matches!(listener.accept(), Accepted::Blocked));
        for (index, (stream, address)) in accepted.iter().enumerate() {
            assert_eq!(*address, peers[index].local_addr().unwrap(), "in order of arrival");
            assert_eq!(stream.write(&[IoSlice::new(&[index as u8])]), WriteOutcome::Complete);
        }
        for (index, peer) in peers.iter_mut().enumerate() {
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], index as u8);
        }
    }
}

#[test]
fn a_stream_changes_pollers_with_its_unread_bytes() {
    let (mut first, _listener, mut ours, mut theirs) = pair();
    theirs.write_all(b"unread").unwrap();
    readable(&mut first);
    first.registry().unwrap().deregister(&mut ours).unwrap();
    let mut second = Poller::new(8).unwrap();
    second.registry().unwrap().register(&mut ours, Key(1)).unwrap();
    // What was there before the registration is reported all the same.
    wait_for(&mut second, "readable", |ready| ready.key == Key(1) && ready.readable);
    let mut buffer = [0; 16];
    assert_eq!(ours.read(&mut buffer), ReadOutcome::Bytes(6));
    theirs.write_all(b"more").unwrap();
    wait_for(&mut second, "readable", |ready| ready.key == Key(1) && ready.readable);
    first.wait(Some(Duration::ZERO)).unwrap();
    assert_eq!(first.ready().count(), 0, "the first poller has forgotten it");
}

#[test]
fn an_end_before_registration_is_reported() {
    let mut poller = Poller::new(8).unwrap();
    let mut listener = Listener::bind(loopback()).unwrap();
    poller.registry().unwrap().register_listener(&mut listener, LISTENER).unwrap();
    let theirs = TcpStream::connect(listener.address()).unwrap();
    let (mut ours, _) = accept(&mut poller, &listener);
    drop(theirs);
    poller.registry().unwrap().register(&mut ours, STREAM).unwrap();
    wait_for(&mut poller, "end", |ready| ready.key == STREAM && ready.read_closed);
    assert_eq!(ours.read(&mut [0; 8]), ReadOutcome::End);
}

#[test]
fn the_waker_ends_a_wait_also_one_that_begins_later() {
    let mut poller = Poller::new(8).unwrap();
    let waker = std::sync::Arc::new(poller.waker(WAKER).unwrap());
    for _ in 0..3 {
        // Before the wait.
        waker.wake().unwrap();
        poller.wait(Some(DEADLINE)).unwrap();
        assert_eq!(poller.ready().map(|ready| ready.key).collect::<Vec<_>>(), [WAKER]);
        // From another thread.
        let theirs = waker.clone();
        let thread = std::thread::spawn(move || theirs.wake().unwrap());
        poller.wait(Some(DEADLINE)).unwrap();
        assert_eq!(poller.ready().map(|ready| ready.key).collect::<Vec<_>>(), [WAKER]);
        thread.join().unwrap();
    }
}

#[test]
fn the_descriptor_limit_can_be_raised_to_the_hard_limit() {
    let limit = martlet_net::raise_descriptor_limit().unwrap();
    assert!(limit >= 256, "{limit}");
    assert_eq!(martlet_net::raise_descriptor_limit().unwrap(), limit);
}
