//! Files that are damaged, cut off, or say that they are huge.

use std::fs;
use std::path::{Path, PathBuf};

use resnetc_pictures::{Error, Limits, decode};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats");
    let entries = fs::read_dir(folder).expect("the golden files are there");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

fn formats(name: &str) -> Vec<u8> {
    let found = files().into_iter().find(|path| path.ends_with(name));
    fs::read(found.expect("a golden file")).expect("readable")
}

fn failure(bytes: &[u8], limits: &Limits) -> Error {
    decode(bytes, limits).expect_err("refused")
}

#[test]
fn what_is_no_picture_is_told() {
    for bytes in [&b""[..], b"%PDF-1.7", b"GIF8", &[0xff, 0xd8], &[0; 64]] {
        let error = failure(bytes, &Limits::default());
        assert!(matches!(error, Error::Unknown | Error::Damaged { .. }), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    let text = failure(b"some text", &Limits::default()).to_string();
    assert_eq!(text, "not a picture in a known format: JPEG, PNG, WebP, GIF, TIFF, BMP");
}

/// What is cut in the middle is refused, or was whole by then: nothing is filled up in silence.
#[test]
fn a_file_that_is_cut_off_is_refused() {
    for path in files() {
        let bytes = fs::read(&path).expect("readable");
        // Of a GIF only the first frame counts.
        let parts = if path.ends_with("two_frames.gif") { 5 } else { 3 };
        let error = failure(&bytes[..bytes.len() * 2 / parts], &Limits::default());
        assert!(matches!(error, Error::Damaged { .. }), "{}: {error}", path.display());
    }
    let jpeg = formats("420.jpg");
    let text = failure(&jpeg[..jpeg.len() - 20], &Limits::default()).to_string();
    assert_eq!(text, "damaged or unsupported JPEG: it ends before the picture does");
}

#[test]
fn no_flipped_byte_makes_it_panic() {
    for path in files() {
        let whole = fs::read(&path).expect("readable");
        for at in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let small = Limits { bytes: 1 << 20, pixels: 1 << 20 };
                if let Err(error) = decode(&bytes, &small) {
                    let text = error.to_string();
                    assert!(!text.contains("the decoder stopped"), "{}, byte {at}: {text}", path.display());
                }
            }
        }
    }
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let png = formats("rgb.png");
    let limits = Limits { bytes: png.len() as u64 - 1, ..Limits::default() };
    let text = failure(&png, &limits).to_string();
    assert_eq!(text, format!("the file has {} bytes, the limit is {}", png.len(), png.len() - 1));
}

#[test]
fn pixels_over_the_limit_are_refused_in_every_format() {
    for path in files().iter().filter(|path| !path.ends_with("one_pixel.jpg")) {
        let bytes = fs::read(path).expect("readable");
        let limits = Limits { pixels: 24 * 17 - 1, ..Limits::default() };
        let text = failure(&bytes, &limits).to_string();
        assert!(text.ends_with("are 408 pixels, the limit is 407"), "{}: {text}", path.display());
    }
}

/// A few bytes that say that they are 65535 x 65535 pixels.
#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut gif = formats("two_frames.gif");
    gif[6..10].fill(0xff);
    let text = failure(&gif, &Limits::default()).to_string();
    assert_eq!(text, "65535x65535 are 4294836225 pixels, the limit is 128000000");

    let mut bmp = formats("rgb.bmp");
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    let text = failure(&bmp, &Limits::default()).to_string();
    assert_eq!(text, "60000x60000 are 3600000000 pixels, the limit is 128000000");

    let mut jpeg = formats("420.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a baseline JPEG");
    jpeg[frame + 5..frame + 9].fill(0xff);
    let text = failure(&jpeg, &Limits::default()).to_string();
    assert_eq!(text, "65535x65535 are 4294836225 pixels, the limit is 128000000");
}
