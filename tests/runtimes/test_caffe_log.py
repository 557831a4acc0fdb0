"""Reading Caffe's last words, in the forms that different builds log them."""

import doctest

from bnfold.runtimes import caffe_log
from bnfold.runtimes.caffe_log import last_words

FATAL = "F1122 10:11:12.131415 77 some_file.cpp:81] "
INFO = "I1122 10:11:12.131415 77 net.cpp:100] "


def test_the_examples_hold():
    assert doctest.testmod(caffe_log).failed == 0


def test_the_layer_that_was_being_created_is_named():
    log = [
        f"{INFO}Creating Layer conv1",
        f"{INFO}Setting up conv1",
        f"{INFO}Creating Layer odd",
        f"{FATAL}Check failed: a == b (1 vs. 2) Odd one",
        "*** Check failure stack trace: ***",
    ]
    assert last_words("\n".join(log))[:2] == ("Odd one", "odd")


def test_a_finished_network_is_not_blamed_on_its_last_layer():
    words = "Incompatible number of blobs for layer first"
    log = [f"{INFO}Setting up last", f"{INFO}Network initialization done.", FATAL + words]
    assert last_words("\n".join(log))[:2] == (words, "first")


def test_a_check_without_words_keeps_its_place():
    reason, layer, _ = last_words(FATAL + "Check failed: top.size() == 1 (2 vs. 1) \n")
    assert reason == "the check at some_file.cpp:81 failed: top.size() == 1 (2 vs. 1)"
    assert layer is None


def test_what_protobuf_could_not_parse_is_told():
    log = (
        "[libprotobuf ERROR google/protobuf/text_format.cc:337] Error parsing text-format "
        'caffe.NetParameter: 15:12: Message type "caffe.LayerParameter" has no field named "foo".\n'
        "WARNING: Logging before InitGoogleLogging() is written to STDERR\n"
        "F20261122 01:19:16.181617 22990 upgrade_proto.cpp:94] Check failed: "
        "ReadProtoFromTextFile(param_file, param) Failed to parse NetParameter file: x.prototxt\n"
    )
    reason, layer, is_unparsed = last_words(log)
    assert is_unparsed
    assert reason.startswith("Failed to parse NetParameter file: x.prototxt (Error parsing")
    assert 'no field named "foo"' in reason
    assert layer is None


def test_a_log_without_a_check_gives_no_reason():
    assert last_words("something\nI am no log line\n")[:2] == (None, None)
