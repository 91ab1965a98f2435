//! Streams that are whole, cut short, damaged, and made to do harm.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, Read, Write};

use proptest::prelude::*;
use taskhost_protocol::stream::{Conversion, Packing};

use super::{StreamError, convert};

const BOTH: [Packing; 2] = [Packing::Gzip, Packing::Zstandard];

fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    convert(Conversion::Pack(packing), bytes, &mut packed).unwrap();
    packed
}

fn unpack(packing: Packing, bytes: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut unpacked = Vec::new();
    convert(Conversion::Unpack(packing), bytes, &mut unpacked).map(|()| unpacked)
}

/// Words in some order, so that there is something to find again.
fn text(len: usize) -> Vec<u8> {
    let words: [&[u8]; 5] = [b"wing ", b"gear ", b"hull ", b"deck\n", b"42,"];
    let mut state = 1_u32;
    let mut text = Vec::new();
    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(words[(state >> 16) as usize % words.len()]);
    }
    text.truncate(len);
    text
}

#[test]
fn what_is_packed_is_unpacked() {
    for packing in BOTH {
        for len in [0, 1, 100, 128 << 10, (128 << 10) + 1, 3_000_000] {
            let bytes = text(len);
            let packed = pack(packing, &bytes);
            assert_eq!(unpack(packing, &packed).unwrap(), bytes, "{packing:?}, {len} bytes");
            assert!(len < 1000 || packed.len() < len / 2, "{packing:?}: {} of {len} bytes", packed.len());
        }
    }
}

#[test]
fn streams_follow_each_other() {
    for packing in BOTH {
        let all = [pack(packing, b"one\n"), pack(packing, b""), pack(packing, b"two\n")].concat();
        assert_eq!(unpack(packing, &all).unwrap(), b"one\ntwo\n", "{packing:?}");
    }
    let padded = [pack(Packing::Gzip, b"one"), vec![0; 200_000]].concat();
    assert_eq!(unpack(Packing::Gzip, &padded).unwrap(), b"one");
    // A frame that says it is to be skipped, before, between and behind others.
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let one = pack(Packing::Zstandard, b"one");
    let all = [&skipped[..], &one, &skipped, &one, &skipped].concat();
    assert_eq!(unpack(Packing::Zstandard, &all).unwrap(), b"oneone");
}

#[test]
fn a_stream_that_is_cut_short_is_said_to_be() {
    for packing in BOTH {
        let whole = pack(packing, &text(400_000));
        for len in (1..50).chain((50..whole.len()).step_by(997)).chain([whole.len() - 1]) {
            let error = unpack(packing, &whole[..len]).unwrap_err();
            let StreamError::Truncated { at, .. } = error else { panic!("{packing:?}, {len} bytes: {error}") };
            assert_eq!(at, len as u64, "{packing:?}");
        }
    }
}

#[test]
fn damage_is_found_and_its_place_told() {
    for packing in BOTH {
        let bytes = text(400_000);
        let whole = pack(packing, &bytes);
        for place in (0..whole.len()).step_by(211) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            // A time in a header may be anything, and so may bits that fill a byte: what comes out must be what went in.
            match unpack(packing, &damaged) {
                Ok(unpacked) => assert!(unpacked == bytes, "{packing:?}, byte {place}"),
                Err(StreamError::Damaged { at, .. } | StreamError::Truncated { at, .. }) => {
                    assert!(at <= whole.len() as u64, "{packing:?}, byte {place}: told as {at}");
                }
                Err(error) => panic!("{packing:?}, byte {place}: {error}"),
            }
        }
        let behind = [&whole[..], b"garbage"].concat();
        let error = unpack(packing, &behind).unwrap_err();
        let at = match error {
            StreamError::Damaged { at, .. } | StreamError::Truncated { at, .. } => at,
            error => panic!("{error}"),
        };
        assert!((whole.len() as u64..=behind.len() as u64).contains(&at), "{packing:?}: {at} of {}", whole.len());
    }
}

#[test]
fn a_window_larger_than_allowed_is_refused() {
    // Magic number, no checksum nor content size, and a window of 2^41 bytes.
    let error = unpack(Packing::Zstandard, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 1, 0, 0]).unwrap_err();
    assert!(error.to_string().contains("indow"), "{error}");
    // The largest that is allowed: 2^27.
    let allowed = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 1, 0, 0];
    assert_eq!(unpack(Packing::Zstandard, &allowed).unwrap(), b"");
}

#[test]
fn a_bomb_is_written_piece_by_piece() {
    /// Takes no more than so many bytes.
    struct Full(u64);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(bytes.len() <= 256 << 10, "{} bytes at a time", bytes.len());
            self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for packing in BOTH {
        let mut bomb = Vec::new();
        convert(Conversion::Pack(packing), io::repeat(0).take(64 << 20), &mut bomb).unwrap();
        assert!(bomb.len() < 128 << 10, "{packing:?}: {} bytes", bomb.len());
        let error = convert(Conversion::Unpack(packing), &bomb[..], Full(1 << 20)).unwrap_err();
        assert!(matches!(&error, StreamError::Write(error) if error.kind() == io::ErrorKind::StorageFull), "{error}");
    }
}

#[test]
fn errors_of_either_end_are_told_apart() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("a bad sector"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("a full disk"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for packing in BOTH {
        let packed = pack(packing, b"something");
        for (conversion, from) in
            [(Conversion::Pack(packing), &b"something"[..]), (Conversion::Unpack(packing), &packed)]
        {
            let error = convert(conversion, Broken, io::sink()).unwrap_err().to_string();
            assert_eq!(error, "cannot be read: a bad sector", "{conversion:?}");
            let error = convert(conversion, from, Broken).unwrap_err().to_string();
            assert_eq!(error, "cannot be written: a full disk", "{conversion:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..5000), times in 1..40_usize) {
        let bytes = bytes.repeat(times);
        for packing in BOTH {
            prop_assert_eq!(&unpack(packing, &pack(packing, &bytes)).unwrap(), &bytes);
        }
    }

    #[test]
    fn nothing_is_made_of_noise(bytes in prop::collection::vec(any::<u8>(), 1..2000)) {
        for (packing, magic) in [(Packing::Gzip, &[0x1f, 0x8b, 8, 0][..]), (Packing::Zstandard, &[0x28, 0xb5, 0x2f, 0xfd])] {
            // Neither hangs nor panics; what it says of noise matters little.
            let _ = unpack(packing, &[magic, &bytes].concat());
            prop_assert!(unpack(packing, &bytes).is_err() || bytes.iter().all(|byte| *byte == 0));
        }
    }
}
