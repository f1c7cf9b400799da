//! A real Prometheus scrapes hostile pages: its own parser is another than promtool's.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use meterline_exposition::{Escaping, Format};
use xtask::{Prometheus, Target};

use crate::build::text_page;
use crate::{hostile, scenarios};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_page_is_scraped() {
    let hostile = hostile::samples(60).into_iter();
    let hostile = hostile.map(|(options, snapshot)| text_page(&options, &snapshot));
    let golden = scenarios::all().into_iter();
    let golden = golden.map(|s| text_page(&s.options, &s.snapshot));
    let pages: Vec<_> = hostile.chain(golden).collect();
    let count = pages.len();
    let address = serve(pages);
    let targets: Vec<_> = (0..count)
        .map(|page| {
            let mut target = Target::new(&format!("page-{page}"), address);
            target.path = format!("/{page}");
            target
        })
        .collect();
    let prometheus = Prometheus::start(&targets);
    // On failure this tells, for each target, why its page was refused.
    prometheus.wait_for("sum(up)", LIMIT, |up| {
        up.iter().any(|(_, value)| *value == count as f64)
    });
}

/// Serves page N at `/N` until the test ends.
fn serve(pages: Vec<String>) -> SocketAddr {
    let pages = Arc::new(pages);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A scraper that goes away is none of this server's business.
            let _ = answer(stream, &pages);
        }
    });
    address
}

fn answer(mut stream: TcpStream, pages: &[String]) -> std::io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?).lines();
    let first = request.next().transpose()?.unwrap_or_default();
    request.map_while(Result::ok).find(String::is_empty);
    let page = first
        .split(['/', ' '])
        .filter_map(|word| word.parse::<usize>().ok())
        .next();
    let page = page
        .and_then(|page| pages.get(page))
        .map_or("", String::as_str);
    let content_type = Format::Text.content_type(Escaping::Underscores);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    )
}
