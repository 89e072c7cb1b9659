//! Writes zip archives, well-formed and not (see APPNOTE.TXT of PKWARE).

/// What stands in an archive of one entry.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    pub content: Vec<u8>,
    /// 0 for what is stored.
    pub method: u16,
    /// Its size unpacked, where that is not the content's.
    pub size: Option<u32>,
    /// Where the directory says it is, if not where it is.
    pub at: Option<u32>,
}

impl Entry {
    pub fn new(name: &str, content: &[u8]) -> Self {
        Entry { name: name.to_owned(), content: content.to_vec(), method: 0, size: None, at: None }
    }

    fn size(&self) -> u32 {
        self.size.unwrap_or(self.content.len() as u32)
    }
}

/// Numbers of 16 bits as they lie in the file.
fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn longs(longs: &[u32]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

/// An archive with its numbers in 32 bits.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    write(entries, false)
}

/// The same with the directory's numbers in 64 bits, as PyTorch writes it for large files.
pub fn archive64(entries: &[Entry]) -> Vec<u8> {
    write(entries, true)
}

fn write(entries: &[Entry], wide: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let (at, name) = (file.len() as u32, entry.name.as_bytes());
        let packed = entry.content.len() as u32;
        let at = entry.at.unwrap_or(at);
        file.extend(longs(&[0x0403_4b50]));
        file.extend(words(&[20, 0, entry.method, 0, 0]));
        file.extend(longs(&[0, packed, entry.size()]));
        file.extend(words(&[name.len() as u16, 0]));
        file.extend(name);
        file.extend(&entry.content);
        let extra: Vec<u8> = if wide {
            let numbers = [entry.size(), packed, at].map(|n| u64::from(n).to_le_bytes()).concat();
            [words(&[1, 24]), numbers].concat()
        } else {
            Vec::new()
        };
        let told = if wide { [u32::MAX; 3] } else { [packed, entry.size(), at] };
        directory.extend(longs(&[0x0201_4b50]));
        directory.extend(words(&[20, 20, 0, entry.method, 0, 0]));
        directory.extend(longs(&[0, told[0], told[1]]));
        directory.extend(words(&[name.len() as u16, extra.len() as u16, 0, 0, 0]));
        directory.extend(longs(&[0, told[2]]));
        directory.extend(name);
        directory.extend(extra);
    }
    let (start, count) = (file.len(), entries.len());
    file.extend(&directory);
    if wide {
        let end = file.len() as u64;
        file.extend(longs(&[0x0606_4b50]));
        file.extend([44u64.to_le_bytes()].concat());
        file.extend(words(&[45, 45]));
        file.extend(longs(&[0, 0]));
        let numbers = [count, count, directory.len(), start].map(|n| (n as u64).to_le_bytes()).concat();
        file.extend(numbers);
        file.extend(longs(&[0x0706_4b50, 0]));
        file.extend(end.to_le_bytes());
        file.extend(longs(&[1]));
    }
    let told = if wide { (u16::MAX, u32::MAX) } else { (count as u16, start as u32) };
    file.extend(longs(&[0x0605_4b50]));
    file.extend(words(&[0, 0, told.0, told.0]));
    file.extend(longs(&[directory.len() as u32, told.1]));
    file.extend(words(&[0]));
    file
}
