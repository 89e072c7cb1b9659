#!/usr/bin/env python3
"""Compares exported ONNX models with resnetc itself, network by network.

For every compiled-in network, and every spec of tests/ok, it takes random weights (the parameters of normalisations random too, running
statistics near those of the images), exports the network as it is in set 17, and folded with a free batch in set 21, and

- checks both models by `onnx.checker` with shape inference,
- runs them in ONNX Runtime and in OpenVINO, in f32,
- compares the results with those of `resnetc run --input --output`: the largest difference over the largest result.

It then writes three specs in every set of operators, and compares those that ONNX Runtime takes likewise (`--sets`: that alone).

    pip install numpy onnx onnxruntime openvino safetensors
    cargo build --release && python tests/peers/onnx.py

Exit status: 0 all agree, 1 some do not, or a program failed.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from shared import IMAGES, ROOT, TOLERANCE, Failed, output, parser, resnetc

# This file is called as the package that it imports.
sys.path.pop(0)

import numpy as np
import onnx
import onnxruntime
import openvino
from safetensors.numpy import load_file, save_file

FORMS = {
    "plain": ["--opset", "17", "--batch", str(IMAGES)],
    "folded": ["--opset", "21", "--dynamic-batch", "--fold-bn"],
}


def arguments():
    options = parser(__doc__)
    options.add_argument("--without-openvino", action="store_true")
    options.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options.add_argument("--sets", action="store_true", help="only the sets of operators")
    return options.parse_args()


def specs(args):
    if args.only:
        return args.only
    names = [row["name"] for row in json.loads(output(args, "list", "--json"))]
    files = [*(ROOT / "tests/ok").glob("*.yaml"), *(ROOT / "tests/peers").glob("*.yaml")]
    return names + sorted(str(path.relative_to(ROOT)) for path in files)


def random_weights(model, images, rng):
    """Values for the tensors of a model that is not folded, by the names that resnetc has for them. Running statistics follow
    from the images: so the results hang on them in deep networks too. Variances are larger than theirs, or errors of rounding would
    grow from layer to layer, and two runtimes differ by them alone."""
    found = {}
    for tensor in model.graph.initializer:
        if tensor.name.startswith("const/"):
            continue
        values = onnx.numpy_helper.to_array(tensor)
        name = tensor.name.split("[")[0]
        # A group normalisation's vectors are written as maps of one pixel.
        found[name] = values.reshape(values.shape[0]) if name != tensor.name else values
    for name, values in found.items():
        if name.endswith(".weight") and values.ndim == 1:
            found[name] = rng.uniform(0.5, 1.5, values.shape)
        elif name.endswith(".bias"):
            found[name] = rng.normal(0, 0.1, values.shape)
    for name, (mean, variance) in statistics(model, found, images).items():
        found[f"{name}.running_mean"] = mean + rng.normal(0, 0.1, mean.shape) * np.sqrt(variance)
        found[f"{name}.running_var"] = variance * rng.uniform(1.5, 3.0, variance.shape) + 1e-3
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in found.items()}


def statistics(model, values, images):
    """Mean and variance of what each batch normalisation reads, by its name: each normalises by the batch's, as in training."""
    made, outputs, initializers = [], {}, []
    for node in model.graph.node:
        if node.op_type != "BatchNormalization":
            made.append(node)
            continue
        of, y = node.name, node.output[0]
        eps = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
        for part, value in (("scale", values[node.input[1]]), ("shift", values[node.input[2]]), ("eps", np.array(eps))):
            value = value.reshape(-1, 1, 1).astype(np.float32)
            initializers.append(onnx.numpy_helper.from_array(value, f"{of}~{part}"))
        steps = [
            ("ReduceMean", [node.input[0]], "mean", {"axes": [0, 2, 3]}),
            ("Sub", [node.input[0], f"{of}~mean"], "centred", {}),
            ("Mul", [f"{of}~centred", f"{of}~centred"], "squares", {}),
            ("ReduceMean", [f"{of}~squares"], "var", {"axes": [0, 2, 3]}),
            ("Add", [f"{of}~var", f"{of}~eps"], "safe", {}),
            ("Sqrt", [f"{of}~safe"], "std", {}),
            ("Div", [f"{of}~centred", f"{of}~std"], "normal", {}),
            ("Mul", [f"{of}~normal", f"{of}~scale"], "scaled", {}),
        ]
        made += [onnx.helper.make_node(op, inputs, [f"{of}~{result}"], **more) for op, inputs, result, more in steps]
        made.append(onnx.helper.make_node("Add", [f"{of}~scaled", f"{of}~shift"], [y]))
        outputs[of] = (f"{of}~mean", f"{of}~var")
    if not outputs:
        return {}
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.node[:], changed.graph.output[:]
    changed.graph.node.extend(made)
    changed.graph.initializer.extend(initializers)
    names = [name for pair in outputs.values() for name in pair]
    changed.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = session_of(changed.SerializeToString())
    results = dict(zip(names, session.run(names, {session.get_inputs()[0].name: images})))
    return {of: tuple(results[name].reshape(-1) for name in pair) for of, pair in outputs.items()}


def session_of(model):
    """One thread: the script may share the machine, and threads that wait for each other take long then."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_runtime(path, images):
    session = session_of(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: images})))


def open_vino(path, images):
    hint = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(str(path), "CPU", hint)
    results = compiled([images])
    return {output.get_any_name(): results[output] for output in compiled.outputs}


def difference(found, wanted):
    """The largest difference over the largest result, of the worst of the results."""
    worst = 0.0
    if set(found) != set(wanted):
        raise Failed(f"results {sorted(found)}, resnetc has {sorted(wanted)}")
    for name, values in wanted.items():
        if found[name].shape != values.shape:
            raise Failed(f"{name} is {found[name].shape}, resnetc has {values.shape}")
        if not np.isfinite(values).all():
            raise Failed(f"{name} is not finite: these weights say nothing")
        largest = np.abs(values).max()
        worst = max(worst, float(np.abs(found[name] - values).max() / max(largest, 1e-30)))
    return worst


def spread(wanted):
    """How much the results of the two images differ, over the largest result: 0 where the input does not matter."""
    values = next(iter(wanted.values()))
    return float(np.abs(values[0] - values[1]).max() / max(np.abs(values).max(), 1e-30))


def prepare(args, spec, folder, rng):
    """Random weights and images of a spec, and what resnetc says of them."""
    weights, images, results = folder / "w.safetensors", folder / "x.npy", folder / "y.safetensors"
    fresh = folder / "fresh.onnx"
    resnetc(args, "export", spec, "-o", fresh, "--batch", IMAGES)
    model = onnx.load(fresh)
    sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    pictures = rng.standard_normal(sizes, dtype=np.float32)
    np.save(images, pictures)
    save_file(random_weights(model, pictures, rng), weights)
    resnetc(args, "run", spec, "--weights", weights, "--input", images, "--output", results, "--threads", 1, "--dtype", "f32")
    return weights, pictures, load_file(results)


def compare(args, spec, folder, rng):
    """One row of the table."""
    weights, pictures, wanted = prepare(args, spec, folder, rng)
    row = {"spec": spec, "spread": spread(wanted)}
    for form, words in FORMS.items():
        path = folder / f"{form}.onnx"
        resnetc(args, "export", spec, "--weights", weights, "-o", path, *words)
        onnx.checker.check_model(str(path), full_check=True)
        row[f"{form} nodes"] = len(onnx.load(path, load_external_data=False).graph.node)
        row[f"{form} ort"] = difference(onnx_runtime(path, pictures), wanted)
        if not args.without_openvino:
            row[f"{form} ov"] = difference(open_vino(path, pictures), wanted)
    return row


def shown(args, row):
    numbers = [f"{row['spread']:.1e}"]
    for form in FORMS:
        numbers.append(str(row[f"{form} nodes"]))
        numbers += [f"{row[key]:.1e}" for key in (f"{form} ort", f"{form} ov") if key in row]
    if args.markdown:
        return f"| {row['spec']} | {' | '.join(numbers)} |"
    return f"{row['spec']:<40} " + " ".join(f"{number:>8}" for number in numbers)


def head(args):
    titles = ["spread"]
    for form in FORMS:
        titles += [form, "ort"] + ([] if args.without_openvino else ["ov"])
    if args.markdown:
        return f"| network | {' | '.join(titles)} |\n|---|{'---:|' * len(titles)}"
    return f"{'network':<40} " + " ".join(f"{title:>8}" for title in titles)


def takes(opset, folder):
    """Whether ONNX Runtime reads a model of a set at all: one that hands its input on."""
    value = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value("x")], [value("y")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, folder / "identity.onnx")
    try:
        session_of(str(folder / "identity.onnx"))
        return True
    except Exception:  # The runtime's own types of errors say no more.
        return False


def every_set(args, folder):
    """The sets of operators that a network can be written in; in those that ONNX Runtime takes, it has to say the same. What fails."""
    failed, worst, taken, sets = [], 0.0, [], range(17, 29)
    specs = ["resnet20_gn", "resnet20_gelu", "tests/ok/activations.yaml"]
    for number, spec in enumerate(specs):
        weights, pictures, wanted = prepare(args, spec, folder, np.random.default_rng(number))
        for opset in sets:
            path = folder / "set.onnx"
            resnetc(args, "export", spec, "--weights", weights, "-o", path, "--batch", IMAGES, "--opset", opset)
            onnx.checker.check_model(str(path), full_check=True)
            if not takes(opset, folder):
                continue
            taken.append(opset)
            found = difference(onnx_runtime(path, pictures), wanted)
            worst = max(worst, found)
            if found > TOLERANCE:
                failed.append(f"{spec} in set {opset}: differs by {found:.1e}")
    print(
        f"\nsets {sets[0]} to {sets[-1]} pass the checker; ONNX Runtime {onnxruntime.__version__} takes {sorted(set(taken))}, "
        f"largest difference there {worst:.1e}"
    )
    return failed


def main():
    args = arguments()
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__}\n{head(args)}")
    rows, failed, started = [], [], time.monotonic()
    for number, spec in enumerate([] if args.sets else specs(args)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = compare(args, spec, Path(folder), np.random.default_rng(number))
                rows.append(row)
                print(shown(args, row), flush=True)
                worst = max(value for key, value in row.items() if key.endswith((" ort", " ov")))
                if worst > TOLERANCE:
                    failed.append(f"{spec}: differs by {worst:.1e}")
            except Exception as error:  # Any failure is a row of its own; the rest goes on.
                failed.append(f"{spec}: {error}")
                print(f"{spec:<40} FAILED: {str(error)[:300]}", flush=True)
    if not args.only:
        with tempfile.TemporaryDirectory() as folder:
            failed += every_set(args, Path(folder))
    differences = [value for row in rows for key, value in row.items() if key.endswith((" ort", " ov"))]
    largest = max(differences, default=0.0)
    print(f"\n{len(rows)} networks, largest difference {largest:.1e}, {len(failed)} failed, {time.monotonic() - started:.0f} s")
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
