//! What pages that are open cost the real program: `osapi up`, built for release, whose stream of
//! readings many follow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::queue::directory;
use crate::report::{Limit, Report, Table, percent};
use crate::server::{Server, build};

const VIEWERS: usize = 100;
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(20);
/// Readings come every two seconds; one may be under way at either end.
const AT_LEAST: usize = 8;

const LIVE: &[u8] = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Open pages",
        "The release build of `osapi up` as it comes, with no jobs: what part of one core it uses \
         over 20 s while nobody watches, while one does, and while 100 follow the page's stream of \
         readings.",
    );
    let program = build();
    let directory = directory();
    let mut server = Server::start(&program, directory.path());
    let address = server.address(directory.path());
    let mut table = Table::new("of one core");
    let mut all = 0.0;
    for viewers in [0, 1, VIEWERS] {
        all = used(&server, address, viewers);
        table.single(&format!("{viewers} viewers"), percent(all));
    }
    report.table(table);
    let what = "the whole program with 100 open pages, of one core";
    report.budget(what, all, Limit::AtMost(0.05), percent);
}

/// The part of a core that the server uses while so many watch.
fn used(server: &Server, address: SocketAddr, viewers: usize) -> f64 {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching: Vec<_> = (0..viewers)
            .map(|_| scope.spawn(|| watch(address, &ended)))
            .collect();
        thread::sleep(WARM_UP);
        let (since, before) = (Instant::now(), server.cpu());
        thread::sleep(MEASURED);
        let used = (server.cpu() - before).as_secs_f64() / since.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        for viewer in watching {
            let seen = viewer.join().expect("the stream goes on");
            assert!(seen >= AT_LEAST, "a viewer saw {seen} readings only");
        }
        used
    })
}

/// Follows the readings; how many there were.
fn watch(address: SocketAddr, ended: &AtomicBool) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(LIVE).expect("the server reads");
    let (mut seen, mut piece, mut last) = (0, vec![0; 1 << 16], [0_u8; 2]);
    while !ended.load(Ordering::Relaxed) {
        let length = stream.read(&mut piece).expect("the stream goes on");
        assert!(length > 0, "the server ended the stream");
        // An empty line ends an event; in chunks of HTTP, lines end otherwise.
        for byte in &piece[..length] {
            last = [last[1], *byte];
            seen += usize::from(last == *b"\n\n");
        }
    }
    seen
}
