//! Whether a JPEG file is whole. The decoder fills what is missing at the end with grey and says nothing, which would
//! turn half a file into half a result.

/// Marker bytes that stand alone, without a length: restarts, and TEM of arithmetic coding.
fn stands_alone(marker: u8) -> bool {
    matches!(marker, 0xd0..=0xd7 | 0x01)
}

/// Whether the markers of the file lead to its end marker. Bytes behind that are no concern.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // To the next marker, over compressed data: there 0xff is followed by 0 when it is not a marker.
        let Some(place) = rest.iter().position(|byte| *byte == 0xff) else { return false };
        rest = &rest[place + 1..];
        let Some((&marker, after)) = rest.split_first() else { return false };
        match marker {
            0xd9 => return true,
            // Padding: the next 0xff is the marker's own.
            0xff => {}
            0x00 => rest = after,
            _ if stands_alone(marker) => rest = after,
            _ => {
                let Some(length) = after.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else { return false };
                let Some(next) = after.get(usize::from(length.max(2))..) else { return false };
                rest = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_behind_segments_and_data() {
        // A segment that holds an end marker of its own (a thumbnail), then data with a stuffed byte and a restart.
        let whole = [
            0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 7, 0xff, 0, 0xff, 0xd0, 7, 0xff, 0xff, 0xd9, 5,
        ];
        assert!(has_end(&whole));
        for length in 0..whole.len() - 1 {
            assert!(!has_end(&whole[..length]), "{length}");
        }
    }
}
