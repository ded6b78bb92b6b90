//! The example `evaluate`, as a program: what it prints for the test vectors, and what it says about files that are no cases.
#![cfg(not(miri))]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// The workspace's root, where a plain `cargo test` and the commands of README.md run.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The program. Cargo is asked to build it, in this test's profile, so that it is there and up to date whichever tests were asked for; after
/// a plain `cargo test` that finds nothing to do.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", "evaluate", "--message-format", "json"]);
    cargo.args(["--profile", if cfg!(debug_assertions) { "test" } else { "release" }]);
    cargo.current_dir(ROOT);
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).expect("messages in UTF-8");
    let program = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let found = message["target"]["name"] == "evaluate" && message["executable"].is_string();
        found.then(|| PathBuf::from(message["executable"].as_str().expect("a path")))
    });
    program.expect("the program's path among cargo's messages")
});

fn evaluate(arguments: &[&str]) -> Output {
    Command::new(&*PROGRAM).args(arguments).current_dir(ROOT).output().expect("the program runs")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("output in UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Every test vector: the path as given on the command line, and its contents.
fn vectors() -> Vec<(String, Value)> {
    let folder = Path::new(ROOT).join("tests/vectors");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of vectors")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let case = serde_json::from_str(&std::fs::read_to_string(&path).expect("a vector")).expect("JSON");
        (path.to_string_lossy().into_owned(), case)
    };
    paths.into_iter().map(read).collect()
}

/// All numbers of a value, in order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => vec![number.as_f64().expect("a double")],
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        Value::Object(all) => all.values().flat_map(numbers).collect(),
        other => panic!("no numbers: {other}"),
    }
}

fn check(arguments: &[&str], tolerance: f64, with_spectrum: bool) {
    let vectors = vectors();
    let files = vectors.iter().map(|(file, _)| file.as_str());
    let output = evaluate(&arguments.iter().copied().chain(files).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    let lines = lines(&output);
    assert_eq!(lines.len(), vectors.len());
    for ((file, case), line) in vectors.iter().zip(&lines) {
        assert_eq!(line["file"], file.as_str());
        assert_eq!(line["name"], case["name"]);
        assert_eq!(line.get("eigenvalues").is_some(), with_spectrum);
        for (key, expected) in case["expected"].as_object().expect("an object") {
            if key == "eigenvalues" && !with_spectrum {
                continue;
            }
            let (given, expected) = (numbers(&line[key]), numbers(expected));
            let scale = expected.iter().fold(0.0f64, |most, entry| most.max(entry.abs()));
            assert_eq!(given.len(), expected.len(), "{file} {key}");
            for (given, expected) in given.iter().zip(expected) {
                let error = (given - expected).abs();
                assert!(error <= tolerance * scale, "{arguments:?} {file} {key}: {given}, {expected} expected");
            }
        }
    }
}

/// The tolerances that the project promises on these vectors.
#[test]
fn the_vectors_in_double_precision() {
    check(&[], 1e-9, false);
    check(&["--route", "blocks"], 1e-9, false);
    check(&["--route", "pairs", "--spectrum"], 1e-9, true);
}

#[test]
fn the_vectors_in_single_precision() {
    check(&["--f32"], 2e-4, false);
    check(&["--f32", "--route", "blocks", "--spectrum"], 2e-4, true);
}

#[test]
fn the_route_is_the_one_asked_for() {
    for route in ["pairs", "blocks"] {
        let output = evaluate(&["--route", route, "tests/vectors/one_sample.json"]);
        assert_eq!(lines(&output)[0]["route"], route);
    }
}

/// A network whose dense Hessian would be large: the ends of its spectrum, which lie within the bounds.
#[test]
fn a_large_network_has_the_ends_of_its_spectrum() {
    let (inputs, hidden, classes) = (300, 7, 2);
    let series = |count: usize, step: f64| (0..count).map(|i| (step * i as f64).sin()).collect::<Vec<_>>();
    let case = serde_json::json!({
        "activation": "tanh",
        "shape": { "inputs": inputs, "hidden": hidden, "classes": classes },
        "theta": series(hidden * (inputs + 1) + classes * (hidden + 1), 1.3),
        "inputs": [series(inputs, 0.7), series(inputs, 1.9), series(inputs, 2.3)],
        "targets": [[1, 0], [0, 1], [1, 0]],
    });
    let file = std::env::temp_dir().join(format!("flatmin-large-{}.json", std::process::id()));
    std::fs::write(&file, case.to_string()).expect("a temporary file");
    let path = file.to_string_lossy();
    for (precision, tolerance) in [(&[][..], 1e-9), (&["--f32"], 1e-4)] {
        let arguments = [precision, &["--spectrum", &*path]].concat();
        let line = &lines(&evaluate(&arguments))[0];
        assert!(line.get("eigenvalues").is_none());
        let [least, greatest, residual] =
            ["lambda_min", "lambda_max", "residual"].map(|key| line["extreme_eigenvalues"][key].as_f64().expect(key));
        let bound = |key: &str| line["bounds"][key].as_f64().expect("a bound");
        let room = residual + tolerance * greatest.max(-least);
        assert!(residual <= 1e-4 * greatest.max(-least), "{residual}");
        assert!(bound("lambda_max_lower") <= greatest + room && greatest <= bound("lambda_max_upper") + room);
        assert!(bound("lambda_min_lower") <= least + room && least <= bound("lambda_min_upper") + room);
    }
    std::fs::remove_file(&file).expect("the temporary file goes");
}

/// The numbers printed are the numbers computed, to the last bit: compared with the library's own.
#[test]
fn numbers_can_be_read_back() {
    #[path = "../../common/case.rs"]
    mod case;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/tanh_small.json");
    let case = case::Case::parse(&std::fs::read_to_string(file).expect("a vector")).expect("a case");
    let plan = flatmin::Plan::new(case.network, case.inputs.len() / case.network.shape.inputs()).expect("a plan");
    fn gradient<T: flatmin::Real>(case: &case::Case, plan: &flatmin::Plan) -> Vec<f64> {
        let [theta, inputs, targets] = [&case.theta, &case.inputs, &case.targets].map(|all| case::convert::<T>(all));
        let targets = flatmin::Targets::Distributions(&targets);
        let batch = flatmin::Batch::new(case.network.shape, &inputs, targets).expect("a batch");
        let (mut gradient, mut workspace) = (vec![T::ZERO; theta.len()], vec![T::ZERO; plan.workspace_len()]);
        flatmin::bound_gradient(plan, &theta, &batch, &mut gradient, &mut workspace).expect("a gradient");
        gradient.iter().map(|entry| entry.to_f64()).collect()
    }
    let printed = |arguments: &[&str]| numbers(&lines(&evaluate(arguments))[0]["lambda_max_upper_gradient"]);
    assert_eq!(printed(&[file]), gradient::<f64>(&case, &plan));
    // The shortest decimal of an f32 is read as an f32.
    let single: Vec<f32> = printed(&["--f32", file]).into_iter().map(|entry| entry as f32).collect();
    let expected: Vec<f32> = gradient::<f32>(&case, &plan).into_iter().map(|entry| entry as f32).collect();
    assert_eq!(single, expected);
}

/// Files that are no cases, each with words of the complaint.
const MALFORMED: &[(&str, &str, &[&str])] = &[
    ("empty", "", &["EOF", "line 1"]),
    ("text", "hello", &["expected value"]),
    ("half", r#"{"activation": "tanh", "shape": {"#, &["EOF"]),
    ("missing", r#"{"activation": "tanh"}"#, &["missing field `shape`"]),
    (
        "sizes",
        r#"{"activation": "tanh", "shape": {"inputs": 0, "hidden": 1, "classes": 2}, "theta": [], "inputs": [], "targets": []}"#,
        &["shape", "inputs", "at least 1"],
    ),
    (
        "negative",
        r#"{"activation": "tanh", "shape": {"inputs": -1, "hidden": 1, "classes": 2}, "theta": [], "inputs": [], "targets": []}"#,
        &["-1"],
    ),
    (
        "huge",
        r#"{"activation": "tanh", "shape": {"inputs": 18446744073709551615, "hidden": 9, "classes": 2}, "theta": [], "inputs": [], "targets": []}"#,
        &["shape", "parameters"],
    ),
    (
        "activation",
        r#"{"activation": "relu", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5,6], "inputs": [[1]], "targets": [[1,0]]}"#,
        &["activation", "relu"],
    ),
    (
        "theta",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5], "inputs": [[1]], "targets": [[1,0]]}"#,
        &["theta", "5", "6"],
    ),
    (
        "rows",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5,6], "inputs": [[1],[2]], "targets": [[1,0]]}"#,
        &["targets", "1 rows", "2"],
    ),
    (
        "ragged",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5,6], "inputs": [[1],[2,3]], "targets": [[1,0],[0,1]]}"#,
        &["inputs", "row 1", "2"],
    ),
    (
        "no_samples",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5,6], "inputs": [], "targets": []}"#,
        &["samples", "at least 1"],
    ),
    (
        "sum",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5,6], "inputs": [[1]], "targets": [[1,0.5]]}"#,
        &["targets", "sample 0", "1.5"],
    ),
    (
        "null",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,3,4,5,null], "inputs": [[1]], "targets": [[1,0]]}"#,
        &["null"],
    ),
    (
        "overflow",
        r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2}, "theta": [1,2,1e308,-1e308,1e308,-1e308], "inputs": [[1]], "targets": [[0,1]]}"#,
        &["loss", "overflow"],
    ),
];

#[test]
fn malformed_cases_are_named_and_the_others_evaluated() {
    let folder = std::env::temp_dir().join(format!("flatmin-evaluate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let good = "tests/vectors/one_sample.json";
    for (name, text, words) in MALFORMED {
        let file = folder.join(format!("{name}.json"));
        std::fs::write(&file, text).expect("a temporary file");
        let file = file.to_string_lossy();
        let output = evaluate(&[good, &file, good]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
        assert!(message.starts_with(&format!("evaluate: {file}: ")), "{name}: {message}");
        for word in *words {
            assert!(message.contains(word), "{name}: {word:?} is not in {message}");
        }
        assert_eq!(lines(&output).len(), 2, "{name}");
    }
    std::fs::remove_dir_all(&folder).expect("the temporary folder goes");

    let output = evaluate(&["no/such/file.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("evaluate: no/such/file.json: "));
}

/// Numbers that single precision cannot hold.
#[test]
fn a_case_beyond_single_precision() {
    let file = std::env::temp_dir().join(format!("flatmin-wide-{}.json", std::process::id()));
    let text = r#"{"activation": "tanh", "shape": {"inputs": 1, "hidden": 1, "classes": 2},
        "theta": [0,1,1,-1,0,0], "inputs": [[1e50]], "targets": [[1,0]]}"#;
    std::fs::write(&file, text).expect("a temporary file");
    let path = file.to_string_lossy();
    assert!(evaluate(&[&path]).status.success());
    let output = evaluate(&["--f32", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("inputs: entry 0"));
    std::fs::remove_file(&file).expect("the temporary file goes");
}

#[test]
fn bad_arguments() {
    for (arguments, word) in
        [(&[][..], "CASE.json"), (&["--route", "dense", "a.json"], "pairs or blocks"), (&["--f16"], "--f16")]
    {
        let output = evaluate(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{arguments:?}");
    }
}
