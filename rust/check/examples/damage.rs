//! Makes and damages volumes: `damage list`, `damage make IMAGE plain|retained|logged`, `damage inflict IMAGE NAME`,
//! `damage check IMAGE`.

#![allow(clippy::print_stdout, reason = "a tool for the command line")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vexfs_check::damage::{self, Sample};
use vexfs_check::{Options, check};
use vexfs_device::{Access, Device, FileDevice};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            for found in damage::damages() {
                println!("{:<45} {:<10} {:?}", found.name, format!("{:?}", found.needs), found.finds);
            }
        }
        ["make", image, sample] => {
            let sample = match *sample {
                "plain" => Sample::Plain,
                "retained" => Sample::Retained,
                "logged" => Sample::Logged,
                other => return Err(format!("there is no sample {other}").into()),
            };
            std::fs::write(image, damage::image(sample)?.to_vec())?;
        }
        ["inflict", image, name] => {
            let wanted = damage::damages().iter().find(|found| found.name == *name);
            wanted
                .ok_or_else(|| format!("there is no damage {name}"))?
                .inflict(&open(image, Access::Write)?)?;
        }
        ["check", image] => {
            let report = check(open(image, Access::Read)?, &Options { data: true, ..Options::default() })?;
            for finding in &report.findings {
                println!("{} {}: {}", finding.number, finding.name, finding.message);
            }
            std::process::exit(report.exit_code().into());
        }
        _ => return Err("usage: damage list | make IMAGE SAMPLE | inflict IMAGE NAME | check IMAGE".into()),
    }
    Ok(())
}

fn open(image: &str, access: Access) -> Result<Arc<dyn Device>, Box<dyn Error>> {
    Ok(Arc::new(FileDevice::open(Path::new(image), access)?))
}
