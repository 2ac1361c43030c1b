//! Declares the records of the format. A record's sizes and offsets are stated where it is declared and
//! asserted at compile time; the byte maps of `docs/format.md` are printed from the same declaration.

/// One field of a record, for the byte maps.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the struct.
    pub name: &'static str,
    /// Its first byte.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// Its type: a little-endian integer, bytes, or another record.
    pub ty: &'static str,
    /// What it holds.
    pub doc: &'static str,
}

/// A record of the format: a struct whose memory is its disk image.
pub trait Record {
    /// Its name in the byte maps.
    const NAME: &'static str;
    /// What it is.
    const DOC: &'static str;
    /// Its size in bytes.
    const SIZE: usize;
    /// Its fields in order, without gaps.
    const FIELDS: &'static [Field];
}

/// Declares a record: `record! { /// doc  pub struct Name: SIZE { /// doc  OFFSET field: Type, ... } }`.
/// All types must be unaligned zerocopy types (`U16`, `U32`, `U64` little-endian, `u8`, arrays of them).
#[macro_export]
macro_rules! record {
    ($(#[doc = $doc:literal])+ pub struct $name:ident : $size:literal {
        $($(#[doc = $field_doc:literal])+ $offset:literal $field:ident : $ty:ty),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ::zerocopy::FromBytes, ::zerocopy::IntoBytes,
            ::zerocopy::Immutable, ::zerocopy::KnownLayout, ::zerocopy::Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[doc = $field_doc])+ pub $field: $ty),+ }

        const _: () = assert!(size_of::<$name>() == $size);
        $(const _: () = assert!(::core::mem::offset_of!($name, $field) == $offset);)+

        impl $crate::record::Record for $name {
            const NAME: &'static str = stringify!($name);
            const DOC: &'static str = concat!($($doc),+);
            const SIZE: usize = $size;
            const FIELDS: &'static [$crate::record::Field] = &[$($crate::record::Field {
                name: stringify!($field),
                offset: $offset,
                size: size_of::<$ty>(),
                ty: stringify!($ty),
                doc: concat!($($field_doc),+),
            }),+];
        }
    };
}
