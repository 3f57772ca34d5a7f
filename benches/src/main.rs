//! Measures the platform; prints figures and decides nothing. Run in release,
//! on a disk, with nothing else going on:
//!
//! `make bench` runs all of it; `make bench ARGS=store` a part.

mod gateway;
mod load;
mod local;
mod plain;
mod store;
mod threads;

fn main() {
    let what = std::env::args().nth(1);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match (what.as_deref(), runtime) {
        (_, Err(error)) => Err(error.to_string()),
        (None, Ok(runtime)) => runtime.block_on(async {
            store::run().await?;
            threads::run().await?;
            local::run().await?;
            gateway::measure(&[]).await
        }),
        (Some("store"), Ok(runtime)) => runtime.block_on(store::run()),
        (Some("threads"), Ok(runtime)) => runtime.block_on(threads::run()),
        (Some("local"), Ok(runtime)) => runtime.block_on(local::run()),
        (Some("local-bare"), Ok(_)) => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            local::bare(&arguments)
        }
        (Some("gateway"), Ok(runtime)) => {
            let only: Vec<String> = std::env::args().skip(2).collect();
            runtime.block_on(gateway::measure(&only))
        }
        (Some("plain"), Ok(runtime)) => {
            let upstream = std::env::args().nth(2).unwrap_or_default();
            runtime.block_on(plain::serve(&upstream))
        }
        _ => Err("usage: benches [store | threads | local | gateway]".to_owned()),
    };
    if let Err(sentence) = result {
        eprintln!("benches: {sentence}");
        std::process::exit(1);
    }
}
