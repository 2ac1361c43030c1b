//! What `benches` measures from Rust: durable commits of our store beside others, and how files lie on a volume
//! that has aged. Every line of output is `name value` or `store bytes threads rate`, for the programs that call it.

use std::path::Path;
use std::time::Duration;

mod ageing;
mod commit;
mod stores;

/// An error of a measurement ends it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: vexfs-rivals commit DIRECTORY MILLISECONDS TURN | ageing MIB TIMES";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["commit", directory, milliseconds, turn] => {
            let time = Duration::from_millis(milliseconds.parse()?);
            commit::round(Path::new(directory), time, turn.parse()?)
        }
        ["ageing", mib, times] => ageing::run(mib.parse::<u64>()? << 20, times.parse()?),
        _ => Err(USAGE.into()),
    }
}
