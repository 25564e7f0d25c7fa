"""Writes fixtures/optim/events.tfevents with TensorBoard's own protobuf classes and record writer.

Usage: python make_events_golden.py [OUT]      OUT defaults to ../fixtures/optim/events.tfevents; needs tensorboard.

The file is read back with TensorBoard's loader, which checks the checksums. Written with tensorboard 2.21.0.
"""
import io
import pathlib
import sys

from tensorboard.backend.event_processing import event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


def scalars(step, time, **values):
    value = [summary_pb2.Summary.Value(tag=tag.replace("__", "/"), simple_value=x) for tag, x in values.items()]
    return event_pb2.Event(wall_time=time, step=step, summary=summary_pb2.Summary(value=value))


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                       pathlib.Path(__file__).parent.parent / "fixtures/optim/events.tfevents")
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    events = [
        event_pb2.Event(wall_time=1574244000.5, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=1574244000.75, step=300, session_log=start),
        scalars(301, 1574244001.0, train__loss=0.25, train__learning_rate=1e-5),
        scalars(400, 1574244002.25, eval__loss=0.0),
    ]
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    out.write_bytes(buffer.getvalue())
    assert list(event_file_loader.LegacyEventFileLoader(str(out)).Load()) == events


if __name__ == "__main__":
    main()
