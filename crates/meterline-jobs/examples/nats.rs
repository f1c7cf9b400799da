//! The connection of an `async-nats` client, without a job system.
//!
//!     cargo run -p meterline-jobs --example nats --features nats -- nats://127.0.0.1:4222
//!
//! Every five seconds it prints its page. Stop the server and start it again: `shop_nats_connected` goes to 0 and back
//! to 1, and `shop_nats_reconnects_total` counts.

use std::error::Error;
use std::time::Duration;

use meterline_exposition::{Format, TranslationOptions, Translator};
use meterline_jobs::{Instruments, NatsMetrics, Probe};
use meterline_sdk::MeterProvider;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    let provider = MeterProvider::builder().build();
    let instruments = Instruments::builder()
        .meter_provider(&provider)
        .namespace("shop")
        .build()?;
    // With the default of a minute, a server that is silently gone shows two minutes later.
    let options = async_nats::ConnectOptions::new().ping_interval(Duration::from_secs(5));
    let client = options.connect(url).await?;
    let nats = NatsMetrics::new(&instruments, &client, Probe::default());
    loop {
        let sent = nats.published(client.publish("shop.news", "tick".into()).await);
        if let Err(error) = sent {
            eprintln!("{error}");
        }
        println!("{}", page(&provider));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

fn page(provider: &MeterProvider) -> String {
    let mut page = Vec::new();
    let snapshot = provider.collect();
    let mut translator = Translator::new(TranslationOptions::default());
    Format::Text.encode(&translator.translate(&snapshot), &mut page);
    String::from_utf8_lossy(&page).into_owned()
}
