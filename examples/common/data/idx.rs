//! IDX files, the format of MNIST and its relatives, plain or gzip.
//!
//! Big-endian: two zero bytes, a type (8: unsigned byte), the number of dimensions, the dimensions as `u32`, the bytes.
//! Format: Yann LeCun, *The MNIST database of handwritten digits*, "File formats".

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;

use super::{DataSet, Parts, Samples, Scaling, Split};

/// Unsigned bytes, and the sizes they are to be seen in.
#[derive(Debug, PartialEq)]
struct Array {
    sizes: Vec<usize>,
    bytes: Vec<u8>,
}

/// Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two of `t10k`, each plain or with the suffix `.gz`.
pub fn read_folder(folder: &Path) -> Result<DataSet> {
    let (train, width) = read_part(folder, "train")?;
    let (test, test_width) = read_part(folder, "t10k")?;
    ensure!(width == test_width, "training images have {width} pixels, test images {test_width}");
    let last = train.classes.iter().chain(&test.classes).max().copied().unwrap_or(0);
    let name = folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.display().to_string());
    Ok(DataSet {
        name,
        inputs: width,
        classes: last as usize + 1,
        scaling: Scaling::Divide(255.0),
        parts: Parts::Split(Split { train, test }),
    })
}

/// Images and labels of one part, and the number of pixels of an image.
fn read_part(folder: &Path, part: &str) -> Result<(Samples, usize)> {
    let images = read_file(folder, &format!("{part}-images-idx3-ubyte"), 3)?;
    let labels = read_file(folder, &format!("{part}-labels-idx1-ubyte"), 1)?;
    let (count, width) = (images.sizes[0], images.sizes[1] * images.sizes[2]);
    ensure!(count == labels.sizes[0], "{part}: {count} images, but {} labels", labels.sizes[0]);
    ensure!(count > 0 && width > 0, "{part}: no images");
    let inputs = images.bytes.iter().map(|&byte| f64::from(byte)).collect();
    let classes = labels.bytes.iter().map(|&byte| u32::from(byte)).collect();
    Ok((Samples { inputs, classes }, width))
}

fn read_file(folder: &Path, name: &str, dimensions: usize) -> Result<Array> {
    let plain = folder.join(name);
    let path = if plain.exists() { plain } else { folder.join(format!("{name}.gz")) };
    let bytes = fs::read(&path).with_context(|| format!("{}, with or without .gz", folder.join(name).display()))?;
    let array = match bytes.as_slice() {
        [0x1f, 0x8b, ..] => read(MultiGzDecoder::new(bytes.as_slice()), dimensions),
        plain => read(plain, dimensions),
    };
    array.with_context(|| path.display().to_string())
}

fn read(mut file: impl Read, dimensions: usize) -> Result<Array> {
    let mut magic = [0; 4];
    read_exact(&mut file, &mut magic)?;
    let expected = [0, 0, 8, dimensions as u8];
    ensure!(
        magic == expected,
        "not an IDX file of {dimensions}-dimensional bytes: it begins {magic:?}, not {expected:?}"
    );
    let mut sizes = Vec::new();
    for _ in 0..dimensions {
        let mut size = [0; 4];
        read_exact(&mut file, &mut size)?;
        sizes.push(u32::from_be_bytes(size) as usize);
    }
    let total = sizes.iter().try_fold(1usize, |total, &size| total.checked_mul(size));
    let total = total.with_context(|| format!("sizes {sizes:?} are too large"))?;
    // Reads one byte more than announced, and allocates no more than there is: the sizes are not to be trusted.
    let mut bytes = Vec::new();
    file.take(total as u64 + 1).read_to_end(&mut bytes).context("unreadable")?;
    match bytes.len() {
        length if length == total => Ok(Array { sizes, bytes }),
        length if length < total => bail!("truncated: {length} bytes of data, sizes {sizes:?} announce {total}"),
        _ => bail!("more data than the {total} bytes that sizes {sizes:?} announce"),
    }
}

fn read_exact(file: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => anyhow::anyhow!("truncated within the head"),
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Two images of 1×3 pixels.
    const IMAGES: [u8; 22] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30, 40, 50, 60];

    fn message(bytes: &[u8], dimensions: usize) -> String {
        format!("{:#}", read(bytes, dimensions).unwrap_err())
    }

    #[test]
    fn images_are_read() {
        let array = read(IMAGES.as_slice(), 3).unwrap();
        assert_eq!(array, Array { sizes: vec![2, 1, 3], bytes: vec![10, 20, 30, 40, 50, 60] });
    }

    #[test]
    fn every_truncation_is_refused() {
        for length in 0..IMAGES.len() {
            assert!(message(&IMAGES[..length], 3).starts_with("truncated"), "{length} bytes");
        }
    }

    #[test]
    fn wrong_heads_and_lengths_are_refused() {
        assert!(message(&IMAGES, 1).starts_with("not an IDX file of 1-dimensional bytes"));
        assert!(message(&[0, 0, 13, 3, 0, 0], 3).starts_with("not an IDX file"));
        assert!(message(&[&IMAGES[..], &[70]].concat(), 3).starts_with("more data"));
        assert!(
            message(&[0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], 3).contains("large")
        );
        assert!(message(&[0, 0, 8, 1, 255, 255, 255, 255, 7], 1).starts_with("truncated: 1 bytes"));
    }

    #[test]
    fn folders_are_read_plain_or_gzip() {
        let folder = std::env::temp_dir().join(format!("flat_minima-idx-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 4, 1];
        for part in ["train", "t10k"] {
            fs::write(folder.join(format!("{part}-images-idx3-ubyte")), IMAGES).unwrap();
            let mut file = GzEncoder::new(Vec::new(), Compression::fast());
            file.write_all(&labels).unwrap();
            fs::write(folder.join(format!("{part}-labels-idx1-ubyte.gz")), file.finish().unwrap()).unwrap();
        }
        let data = read_folder(&folder).unwrap();
        assert_eq!((data.inputs, data.classes), (3, 5));
        let Parts::Split(split) = data.parts else { panic!("IDX folders come split") };
        assert_eq!(split.test, Samples { inputs: vec![10.0, 20.0, 30.0, 40.0, 50.0, 60.0], classes: vec![4, 1] });

        fs::remove_file(folder.join("t10k-labels-idx1-ubyte.gz")).unwrap();
        let missing = format!("{:#}", read_folder(&folder).unwrap_err());
        assert!(missing.contains("t10k-labels-idx1-ubyte, with or without .gz"), "{missing}");
        fs::remove_dir_all(folder).unwrap();
    }
}
