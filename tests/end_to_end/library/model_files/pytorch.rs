//! `pytorch_model.bin` in the zip and the legacy form, and each way in which it is refused.

use std::fs;

use bert_embed::internals::{Dtype, TensorView, Tensors};
use tempfile::TempDir;

use super::{assert_refused, directory, load, written};
use crate::support::formula::Storage;
use crate::support::pytorch_file::{forms, twin, write_pytorch};

/// The pickle of torch's magic number, with which the form before 1.6 begins.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

#[test]
fn every_form_of_torch_holds_the_numbers_of_its_safetensors_twin() {
    let forms = forms();
    assert!(forms.len() >= 10, "{forms:?}");
    for form in forms {
        let storage = match form.as_str() {
            "zip-f16" => Storage::F16,
            "zip-bf16" => Storage::Bf16,
            _ => Storage::F32,
        };
        let (theirs, ours) = (directory(), directory());
        let mut twin = twin();
        twin.storage = storage;
        twin.write(theirs.path());
        write_pytorch(&form, ours.path());
        let (config, expected) = load(theirs.path()).expect("a checkpoint");
        let (_, found) = load(ours.path()).expect(&form);
        let pooler = |tensors: &Tensors| tensors.get("pooler.dense.bias", &[36]).expect("there");
        let expected_pooler = ("pooler".to_owned(), pooler(&expected));
        let found_pooler = ("pooler".to_owned(), pooler(&found));
        let mut expected = expected.encoder(&config).expect("tensors");
        let mut found = found.encoder(&config).expect("tensors");
        expected.push(expected_pooler);
        found.push(found_pooler);
        for ((name, expected), (_, found)) in expected.iter().zip(&found) {
            assert_eq!(expected.bytes(), found.bytes(), "{form}: {name}");
            assert_eq!(expected.dtype(), found.dtype(), "{form}: {name}");
        }
    }
}

#[test]
fn aligned_numbers_are_used_in_place_and_strided_ones_are_copied_once() {
    let directory = directory();
    write_pytorch("zip-views", directory.path());
    let (_, tensors) = load(directory.path()).expect("a checkpoint");
    let start = |view: &TensorView| view.bytes().as_ptr();
    let get = |name: &str, shape: &[usize]| tensors.get(name, shape).expect("a tensor");
    let [query, key] = ["query", "key"].map(|part| {
        let name = format!("encoder.layer.0.attention.self.{part}.weight");
        get(&name, &[36, 36])
    });
    assert_eq!(
        start(&key).addr() - start(&query).addr(),
        36 * 36 * 4,
        "two views of one storage in the file"
    );
    assert!(query.as_f32().is_some());
    let wide = || get("encoder.layer.0.intermediate.dense.weight", &[100, 36]);
    assert_eq!(start(&wide()), start(&wide()));
}

#[test]
fn f64_is_rounded_to_f32_in_safetensors_too() {
    let directory = written(|checkpoint| {
        checkpoint.tensor("word_embeddings.weight").storage = Storage::F64;
    });
    let (_, tensors) = load(directory.path()).expect("a checkpoint");
    let words = tensors
        .get("embeddings.word_embeddings.weight", &[5, 4])
        .expect("a tensor");
    assert_eq!(words.dtype(), Dtype::F32);
    let file = fs::read(directory.path().join("model.safetensors")).expect("read");
    let header_bytes = u64::from_le_bytes(*file.first_chunk().expect("8 bytes")) as usize;
    let (numbers, _) = file[8 + header_bytes..].as_chunks();
    let expected: Vec<f32> = numbers[..20]
        .iter()
        .map(|&number| f64::from_le_bytes(number) as f32)
        .collect();
    assert_eq!(words.to_f32(), expected);
}

#[test]
fn safetensors_come_before_a_pickle() {
    let directory = written(|_| ());
    fs::write(directory.path().join("pytorch_model.bin"), "x").expect("written");
    load(directory.path()).expect("a checkpoint");
}

/// A checkpoint whose state dict is `pickle`, in the form before 1.6.
fn pickled(pickle: &[u8]) -> TempDir {
    let directory = written(|_| ());
    fs::remove_file(directory.path().join("model.safetensors")).expect("removed");
    let file = [
        MAGIC,
        b"\x80\x02M\xe9\x03.",
        b"\x80\x02}.",
        pickle,
        b"\x80\x02].",
    ]
    .concat();
    fs::write(directory.path().join("pytorch_model.bin"), file).expect("written");
    directory
}

#[test]
fn a_pickle_that_holds_more_than_tensors_is_refused_by_name_and_nothing_runs() {
    let trace = directory();
    let trace = trace.path().join("trace").display().to_string();
    let call = |function: &str| format!("\u{2}c{function}\n(V{trace}\nS'w'\ntR.");
    let run = |text: String| [b"\x80", text.as_bytes()].concat();
    let cases: [(Vec<u8>, &str); 11] = [
        (run(call("builtins\nopen")), "`builtins.open`"),
        (run(call("posix\nsystem")), "`posix.system`"),
        (run(call("torch\nload")), "`torch.load`"),
        (
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.".to_vec(),
            "`os.system`",
        ),
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n.".to_vec(),
            "_reconstruct`",
        ),
        (b"\x80\x02(ios\nsystem\n.".to_vec(), "instruction 0x69"),
        (
            b"\x80\x02ctorch._utils\n_rebuild_qtensor\n.".to_vec(),
            "_rebuild_qtensor`",
        ),
        (b"\x80\x02)}b.".to_vec(), "attributes of a Python object"),
        (
            b"\x80\x02}X\x01\0\0\0aK\x01s.".to_vec(),
            "`a`: it is not a tensor",
        ),
        (b"\x80\x02].".to_vec(), "no dictionary of tensors"),
        (b"\x80\x02}K\x01K\x01s.".to_vec(), "keys are not names"),
    ];
    for (pickle, words) in cases {
        assert_refused(
            words,
            pickled(&pickle).path(),
            &["pytorch_model.bin`", words],
        );
    }
    assert!(!fs::exists(&trace).expect("looked"), "the pickle was run");
}

#[test]
fn a_damaged_pickle_is_refused() {
    let endless = [&b"\x80\x02"[..], &b"N0".repeat(600_000)].concat();
    let nested = [&b"\x80\x02N"[..], &b"\x85".repeat(900_000), b"."].concat();
    let cases: [(&[u8], &str); 9] = [
        (b"", "cut short"),
        (b"\x80\x02.", "its pickle is damaged"),
        (b"\x80\x02}s.", "its pickle is damaged"),
        (b"\x80\x02(.", "its pickle is damaged"),
        (b"\x80\x02t.", "its pickle is damaged"),
        (b"\x80\x02h\x07.", "its pickle is damaged"),
        (b"\x80\x02X\xff\xff\xff\xffx.", "cut short"),
        (&endless, "more than 1000000 instructions"),
        (&nested, "no dictionary of tensors"),
    ];
    for (pickle, words) in cases {
        assert_refused(
            words,
            pickled(pickle).path(),
            &["pytorch_model.bin`", words],
        );
    }
}

#[test]
fn tensors_that_leave_or_repeat_their_storage_are_refused() {
    let tensor = |offset: u8, size: &[u8], stride: &[u8]| {
        let mut pickle = b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n(".to_vec();
        pickle.extend(
            b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04NtQ",
        );
        pickle.extend([b'K', offset, b'(']);
        pickle.extend(size.iter().flat_map(|&size| [b'K', size]));
        pickle.extend(b"t(");
        pickle.extend(stride.iter().flat_map(|&stride| [b'K', stride]));
        pickle.extend(b"t\x89}tRs.");
        // The list of storages, and the only one: 4 numbers.
        pickle.extend(b"\x80\x02]X\x01\0\0\x000a.\x04\0\0\0\0\0\0\0");
        pickle.extend([0; 16]);
        pickle
    };
    let words = "does not fit into its storage";
    for (offset, size, stride) in [
        (0, &[5][..], &[1][..]),
        (1, &[4], &[1]),
        (0, &[2, 2], &[3, 1]),
        (0, &[5], &[0]),
        (0, &[2, 200], &[0, 0]),
        (0, &[2], &[1, 1]),
    ] {
        let directory = pickled(&tensor(offset, size, stride));
        assert_refused(words, directory.path(), &["tensor `a`", words]);
    }
    // Sound, but no BERT.
    let directory = pickled(&tensor(1, &[2], &[2]));
    assert_refused("sound", directory.path(), &["this is not BERT"]);
}

#[test]
fn what_only_looks_like_a_pytorch_file_is_told_as_what_it_is() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "not a PyTorch file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS",
        ),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04 and nothing more", "zip archive is damaged"),
        (&[0; 600], "zeros only"),
    ];
    for (content, words) in cases {
        let directory = pickled(b"");
        fs::write(directory.path().join("pytorch_model.bin"), content).expect("written");
        assert_refused(words, directory.path(), &["pytorch_model.bin`", words]);
    }
}

#[test]
fn the_tar_form_of_the_first_releases_is_refused_with_a_tip() {
    let directory = pickled(b"");
    // The header of a tar archive, as far as it is looked at.
    let mut content = [0; 1024];
    content[..8].copy_from_slice(b"storages");
    content[257..262].copy_from_slice(b"ustar");
    fs::write(directory.path().join("pytorch_model.bin"), content).expect("written");
    let words = ["pytorch_model.bin`", "it is a tar archive"];
    assert_refused("tar", directory.path(), &words);
    let tip = load(directory.path())
        .err()
        .and_then(|error| Some(error.tip()?.to_owned()));
    assert_eq!(
        tip.as_deref(),
        Some("load it in Python and save it as safetensors")
    );
}

#[test]
fn a_shard_of_a_pickles_index_is_a_bin_file_beside_it() {
    let directory = directory();
    write_pytorch("sharded", directory.path());
    let index = directory.path().join("pytorch_model.bin.index.json");
    let text = fs::read_to_string(&index).expect("read");
    for name in ["../x.bin", "x.safetensors", "a/b.bin"] {
        let changed = text.replacen("pytorch_model-00001-of-00002.bin", name, 1);
        fs::write(&index, changed).expect("written");
        let words = ["index.json`", "only names of `.bin` files"];
        assert_refused(name, directory.path(), &words);
    }
}
