//! Pictures to train on that are small and easy to tell apart.

use std::fs;

/// A network small enough to be trained on them in a test.
pub const MINI: &str = "\
name: mini
input: [3, 16, 16]
classes: 2
stem: conv3x3(4, stride=4) -> bn -> relu
unit: basic
stages:
  - {depth: 1, filters: 4}
train: {epochs: 2, batch_size: 8}
";

/// A BMP file of one colour with noise: red for one class, blue for the other.
pub fn bmp(width: usize, height: usize, class: usize, seed: usize) -> Vec<u8> {
    let stride = (width * 3).next_multiple_of(4);
    let mut file = b"BM".to_vec();
    for value in
        [54 + stride * height, 0, 54, 40, width, height, 1 | 24 << 16, 0, stride * height, 2835, 2835, 0, 0]
    {
        file.extend((value as u32).to_le_bytes());
    }
    for y in 0..height {
        for x in 0..stride {
            let noise = ((x * 31 + y * 17 + seed * 59) % 40) as u8;
            // Blue, green, red.
            let bright = x / 3 < width && x % 3 == if class == 0 { 2 } else { 0 };
            file.push(if bright { 200 + noise } else { noise });
        }
    }
    file
}

/// Pictures of these classes in a folder `shades`: twelve of each to train on, three to test on.
pub fn folder(classes: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (split, count) in [("train", 12), ("val", 3)] {
        for (at, class) in classes.iter().enumerate() {
            let inner = folder.path().join("shades").join(split).join(class);
            fs::create_dir_all(&inner).expect("writable");
            for index in 0..count {
                let bytes = bmp(20 + index, 30 - index, at, index + 7 * count);
                fs::write(inner.join(format!("{index}.bmp")), bytes).expect("writable");
            }
        }
    }
    folder
}
