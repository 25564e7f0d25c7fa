"""Writes fixtures/pretrain/examples.tfrecord with TensorBoard's record writer and protobuf's own serialiser.

Usage: python tools/make_records_golden.py [OUT]            OUT defaults to fixtures/pretrain/examples.tfrecord
       python tools/make_records_golden.py --read FILE      prints the samples of a file as lines of JSON

Needs tensorboard and protobuf. The message tf.train.Example is declared here as in tensorflow/core/example/example.proto and
feature.proto. Written with tensorboard 2.21.0 and protobuf 7.36.2.
"""
import io
import json
import pathlib
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorboard.summary.writer.record_writer import RecordWriter, masked_crc32c

ROOT = pathlib.Path(__file__).resolve().parent.parent


def example_class():
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name):
        return file.message_type.add(name=name)

    def field(of, name, number, kind, label=kinds.LABEL_OPTIONAL, type_name=None, oneof=None):
        added = of.field.add(name=name, number=number, type=kind, label=label)
        if type_name:
            added.type_name = ".tensorflow." + type_name
        if oneof is not None:
            added.oneof_index = oneof
    for name, kind in [("BytesList", kinds.TYPE_BYTES), ("FloatList", kinds.TYPE_FLOAT), ("Int64List", kinds.TYPE_INT64)]:
        field(message(name), "value", 1, kind, kinds.LABEL_REPEATED)
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, of) in enumerate([("bytes_list", "BytesList"), ("float_list", "FloatList"),
                                         ("int64_list", "Int64List")], 1):
        field(feature, name, number, kinds.TYPE_MESSAGE, type_name=of, oneof=0)
    features = message("Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    field(entry, "key", 1, kinds.TYPE_STRING)
    field(entry, "value", 2, kinds.TYPE_MESSAGE, type_name="Feature")
    field(features, "feature", 1, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, "Features.FeatureEntry")
    field(message("Example"), "features", 1, kinds.TYPE_MESSAGE, type_name="Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


Example = example_class()


def records(data):
    """The records of a file, with both checksums compared."""
    at = 0
    while at < len(data):
        length = data[at:at + 8]
        size, = struct.unpack("<Q", length)
        body = data[at + 12:at + 12 + size]
        assert len(body) == size
        assert struct.unpack("<I", data[at + 8:at + 12])[0] == masked_crc32c(length)
        assert struct.unpack("<I", data[at + 12 + size:at + 16 + size])[0] == masked_crc32c(body)
        at += 16 + size
        yield body


def read(path):
    for body in records(pathlib.Path(path).read_bytes()):
        example = Example.FromString(body)
        features = {name: list(getattr(feature, feature.WhichOneof("kind")).value)
                    for name, feature in sorted(example.features.feature.items())}
        print(json.dumps(features))


def sample(shift, label):
    """Twelve tokens at most, three predictions at most, as write_instance_to_example_files pads them."""
    length, places = 9 + shift, [2, 5][:1 + shift]
    ids = [2] + [20 + shift + i for i in range(length - 2)] + [3]
    ids[4] = 3
    pad = [0] * (12 - length)
    example = Example()
    feature = example.features.feature
    for name, values in [
        ("input_ids", ids + pad), ("input_mask", [1] * length + pad),
        ("segment_ids", [0] * 5 + [1] * (length - 5) + pad), ("token_boundary", [1, 1, 0, 1, 1] + [1] * (length - 5) + pad),
        ("masked_lm_positions", places + [0] * (3 - len(places))),
        ("masked_lm_ids", [700 + i for i in range(len(places))] + [0] * (3 - len(places))),
        ("next_sentence_labels", [label]),
    ]:
        feature[name].int64_list.value.extend(values)
    feature["masked_lm_weights"].float_list.value.extend([1.0] * len(places) + [0.0] * (3 - len(places)))
    return example


def main():
    if sys.argv[1:2] == ["--read"]:
        return read(sys.argv[2])
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "fixtures/pretrain/examples.tfrecord"
    out.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for example in [sample(0, 1), sample(1, 0)]:
        writer.write(example.SerializeToString(deterministic=True))
    out.write_bytes(buffer.getvalue())
    assert len(list(records(out.read_bytes()))) == 2


if __name__ == "__main__":
    main()
