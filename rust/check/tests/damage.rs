//! Each kind of damage is found, by number, and nothing else is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vexfs_check::damage::{Sample, damages, image};
use vexfs_check::{Options, Report, check, kinds};
use vexfs_device::{Device, Image, MemoryDevice};

fn report(image: &Image, workers: usize) -> Report {
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::from_image(image.clone()));
    check(device, &Options { data: true, workers: Some(workers), progress: None }).unwrap()
}

fn samples() -> BTreeMap<&'static str, Image> {
    let all = [("Plain", Sample::Plain), ("Retained", Sample::Retained), ("Logged", Sample::Logged)];
    all.into_iter().map(|(name, sample)| (name, image(sample).unwrap())).collect()
}

#[test]
fn each_damage_is_found_by_its_numbers_and_nothing_else_is_found() {
    let samples = samples();
    let mut wrong = Vec::new();
    for damage in damages() {
        let memory =
            Arc::new(MemoryDevice::from_image(samples[format!("{:?}", damage.needs).as_str()].clone()));
        let device: Arc<dyn Device> = Arc::clone(&memory) as _;
        if let Err(error) = damage.inflict(&device) {
            wrong.push(format!("{}: {error}", damage.name));
            continue;
        }
        let report = report(&memory.image(), 2);
        if report.numbers() != damage.finds {
            let found: Vec<String> = report
                .findings
                .iter()
                .take(12)
                .map(|found| format!("\n    {} {}", found.number, found.message))
                .collect();
            wrong.push(format!(
                "{}: {:?}, not {:?}{}",
                damage.name,
                report.numbers(),
                damage.finds,
                found.concat()
            ));
        }
        assert_eq!(report.exit_code(), 4);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_a_damage_for_every_kind_that_bytes_can_have() {
    let made: Vec<u16> = damages().iter().flat_map(|damage| damage.finds).copied().collect();
    let missing: Vec<&str> =
        kinds().iter().filter(|kind| !made.contains(&kind.number)).map(|kind| kind.name).collect();
    assert_eq!(missing, ["unreadable"], "which the device says, not the bytes");
    assert!(damages().len() >= 40);
}

#[test]
fn a_report_names_places_and_is_json() {
    let memory = Arc::new(MemoryDevice::from_image(image(Sample::Plain).unwrap()));
    let device: Arc<dyn Device> = Arc::clone(&memory) as _;
    let links = damages().iter().find(|damage| damage.name == "links_wrong").unwrap();
    links.inflict(&device).unwrap();
    let report = report(&memory.image(), 1);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["clean"], false);
    assert_eq!(json["exit_code"], 4);
    let finding = &json["findings"][0];
    assert_eq!((&finding["number"], &finding["name"]), (&903.into(), &"links_wrong".into()));
    assert_eq!((&finding["severity"], &finding["autofix"]), (&"error".into(), &true.into()));
    assert!(finding["path"].as_str().unwrap().starts_with("/tree/d0/file "), "{finding}");
    assert!(finding.get("block").is_none());
    assert_eq!(json["passes"].as_array().unwrap().len(), vexfs_check::passes().len());
    assert_eq!(json["blocks"], 4096);
}

#[test]
fn the_findings_do_not_depend_on_the_number_of_workers() {
    let samples = samples();
    for damage in damages().iter().step_by(9) {
        let memory =
            Arc::new(MemoryDevice::from_image(samples[format!("{:?}", damage.needs).as_str()].clone()));
        let device: Arc<dyn Device> = Arc::clone(&memory) as _;
        damage.inflict(&device).unwrap();
        let [one, many] = [1, 16].map(|workers| report(&memory.image(), workers).findings);
        assert_eq!(one, many, "{}", damage.name);
    }
}
