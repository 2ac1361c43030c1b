use std::collections::{BTreeMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use vexfs_format::*;

#[test]
fn hashes_leave_room_for_slots_and_for_the_first_places() {
    for number in 0..10_000u32 {
        let hash = name::hash(&[3; 16], &number.to_le_bytes());
        assert!(hash >= 256 && hash.is_multiple_of(256) && hash < 1 << 63);
    }
}

#[test]
fn hashes_are_those_of_format_version_1() {
    // Were these to change, no name of an existing volume would be found again.
    let seed = core::array::from_fn(|index| index as u8);
    assert_eq!(name::hash(&seed, b""), HASH_OF_NOTHING);
    assert_eq!(name::hash(&seed, b"a name"), HASH_OF_A_NAME);
    assert_ne!(name::hash(&[1; 16], b"a name"), HASH_OF_A_NAME);
}

const HASH_OF_NOTHING: u64 = 0x2bac_0158_050f_c400;
const HASH_OF_A_NAME: u64 = 0x3284_aaab_8450_8700;

#[test]
fn names_are_1_to_255_bytes_without_slash_and_zero() {
    let ino = Ino(20);
    let insert =
        |name: &[u8]| Dirents::EMPTY.insert(name, ino, FileType::Regular).map_err(|error| error.code());
    for name in [&b"a"[..], &[0xff; 255], b"...", b"a b", b"\n"] {
        let item = insert(name).unwrap();
        assert_eq!(Dirents::parse(&item).unwrap().find(name).unwrap().ino, ino);
    }
    for name in [&b""[..], &[b'x'; 256], b".", b"..", b"a/b", b"/", b"a\0"] {
        assert_eq!(insert(name), Err("bad_name"));
    }
    assert_eq!(Xattrs::EMPTY.insert(b"", b"").unwrap_err().code(), "bad_name");
    assert_eq!(Xattrs::EMPTY.insert(&[b'x'; 256], b"").unwrap_err().code(), "bad_name");
    assert!(Xattrs::EMPTY.insert(b"user.a/b", b"").is_ok());
}

#[test]
fn an_attribute_of_the_greatest_size_fits_and_one_byte_more_does_not() {
    let (name, value) = ([b'n'; MAX_NAME], vec![1; MAX_XATTR_VALUE + 1]);
    let item = Xattrs::EMPTY.insert(&name, &value[1..]).unwrap();
    assert_eq!(item.len(), MAX_VALUE);
    assert_eq!(Xattrs::parse(&item).unwrap().find(&name), Some(&value[1..]));
    assert_eq!(Xattrs::EMPTY.insert(&name, &value).unwrap_err().code(), "item_full");
    assert_eq!(Xattrs::EMPTY.insert(b"n", &[0; 65_536]).unwrap_err().code(), "item_full");
}

#[test]
fn a_directory_item_is_full_at_256_entries_or_64_kib() {
    for (len, fits) in [(2, 256), (255, 246)] {
        let mut item = Vec::new();
        let mut count = 0;
        loop {
            let entries = if item.is_empty() { Dirents::EMPTY } else { Dirents::parse(&item).unwrap() };
            let name = [vec![b'x'; len - 2], format!("{count:02x}").into_bytes()[..2].to_vec()].concat();
            match entries.insert(&[&name[..], &vec![b'y'; count / 256]].concat(), Ino(20), FileType::Regular)
            {
                Ok(next) => item = next,
                Err(error) => break assert_eq!(error.code(), "item_full"),
            }
            count += 1;
        }
        assert_eq!(count, fits);
    }
}

#[derive(Clone, Debug)]
enum Change {
    Insert(Vec<u8>, u64),
    Remove(Vec<u8>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let name = || vec(b'a'..=b'd', 1..3);
    let change = prop_oneof![
        3 => (name(), 16u64..1 << 40).prop_map(|(name, ino)| Change::Insert(name, ino)),
        2 => name().prop_map(Change::Remove),
    ];
    vec(change, 0..60)
}

proptest! {
    #[test]
    fn a_directory_item_is_a_map_whose_entries_keep_their_slots(changes in changes()) {
        let mut model: BTreeMap<Vec<u8>, (u64, u8)> = BTreeMap::new();
        let mut item = Vec::new();
        for change in changes {
            let entries = if item.is_empty() { Dirents::EMPTY } else { Dirents::parse(&item).unwrap() };
            item = match change {
                Change::Insert(name, ino) => {
                    let item = entries.insert(&name, Ino(ino), FileType::Symlink).unwrap();
                    let slot = Dirents::parse(&item).unwrap().find(&name).unwrap().slot;
                    let old = model.insert(name, (ino, slot));
                    prop_assert!(old.is_none_or(|(_, old)| old == slot));
                    item
                }
                Change::Remove(name) => {
                    model.remove(&name);
                    entries.remove(&name)
                }
            };
            prop_assert_eq!(item.is_empty(), model.is_empty());
            let entries = if item.is_empty() { Dirents::EMPTY } else { Dirents::parse(&item).unwrap() };
            let found: BTreeMap<_, _> =
                entries.iter().map(|entry| (entry.name.to_vec(), (entry.ino.0, entry.slot))).collect();
            prop_assert_eq!(&found, &model);
            prop_assert!(entries.iter().is_sorted_by_key(|entry| entry.slot));
            prop_assert_eq!(entries.iter().map(|entry| entry.slot).collect::<HashSet<_>>().len(), model.len());
        }
    }

    #[test]
    fn an_attribute_item_is_a_map(changes in changes()) {
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut item = Vec::new();
        for change in changes {
            let xattrs = if item.is_empty() { Xattrs::EMPTY } else { Xattrs::parse(&item).unwrap() };
            item = match change {
                Change::Insert(name, value) => {
                    let value = value.to_string().into_bytes();
                    let item = xattrs.insert(&name, &value).unwrap();
                    model.insert(name, value);
                    item
                }
                Change::Remove(name) => {
                    model.remove(&name);
                    xattrs.remove(&name)
                }
            };
            prop_assert_eq!(item.is_empty(), model.is_empty());
            let xattrs = if item.is_empty() { Xattrs::EMPTY } else { Xattrs::parse(&item).unwrap() };
            let found: BTreeMap<_, _> =
                xattrs.iter().map(|xattr| (xattr.name.to_vec(), xattr.value.to_vec())).collect();
            prop_assert_eq!(found, model.clone());
            prop_assert!(model.iter().all(|(name, value)| xattrs.find(name) == Some(value)));
        }
    }
}
