"""Draw a network: every way to write the layers that bnfold reads, next to each other.

Shapes follow BVLC caffe's own rules. What Caffe refuses all the same is not judged, so a rule that
is a little too wide costs time and nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from bnfold import MergeOptions

from .grammar.affines import Affines
from .grammar.hosts import Hosts
from .grammar.joins import Joins
from .grammar.shapes import Shapes
from .wiring import Array, Case, Node, layer_input


class Drawing(Affines, Hosts, Joins, Shapes):
    """A network that grows by random layers.

    Args:
        seed: decides everything.
    """

    def aliases(self) -> None:
        """Other names for one memory, and layers on either side that write over it or read it."""
        if self.chance(0.5):
            self.convolution()
        bottom = self.pick()
        assert bottom is not None
        share = [self.split, self.flatten, self.reshape, self.permute, self.concat, self.slice]
        work = [self.pointwise, self.idle, self.idle, self.scale, self.bias, self.batch_norm]
        odds, self.odds_of_chain = self.odds_of_chain, 1.0
        for _ in range(self.random.randint(1, 3)):
            self.last = bottom
            self.random.choice(share)()
            for _ in range(self.random.randint(0, 3)):
                if self.last in self.shapes:
                    self.random.choice(work)()
        self.last = bottom
        if bottom in self.shapes and self.chance(0.6):
            self.random.choice([self.convolution, self.convolution, self.concat, self.along])()
        self.odds_of_chain = odds

    def idle(self) -> None:
        """A layer that changes nothing, but may be a copy."""
        self.pointwise((("Power", "", ()), ("Dropout", "", ()), ("Power", "power_param", ())))

    def branches(self) -> None:
        """Parallel convolutions of one value, each with a batch norm, that an Eltwise adds."""
        bottom = self.pick(lambda shape: len(shape) == 4)
        if bottom is None:
            return
        shape, ends = self.shapes[bottom], []
        outputs = self.random.randint(1, 5)
        for _ in range(self.random.randint(2, 3)):
            kernel = self.random.choice([1, 1, 3])
            name = self.name("branch")
            words = [f"num_output: {outputs}", f"kernel_size: {kernel}", f"pad: {kernel // 2}"]
            weight = self.weights((outputs, shape[1], kernel, kernel), 0)
            blobs: tuple[Array, ...] = (weight, self.shifts((outputs,)))
            self.read.add(bottom)
            node = Node(name, "Convolution", (bottom,), (name,), "convolution_param", tuple(words))
            self.put(replace(node, blobs=blobs), (shape[0], outputs, *shape[2:]))
            if self.chance(0.7):
                self.random.choice([self.batch_norm, self.scale, self.pointwise])()
            ends.append(self.last)
        if len({self.shapes.get(end) for end in ends}) == 1 and None not in map(
            self.shapes.get, ends
        ):
            self.join(ends)

    def outside(self) -> None:
        """A layer of phase TRAIN that reads, and may have the name of another one."""
        bottom = self.pick()
        assert bottom is not None
        if bottom in self.read or self.chance(0.5):
            name = self.name("train")
            rule = self.random.choice(["include { phase: TRAIN }", "exclude { phase: TEST }"])
            self.put(Node(name, "ReLU", (bottom,), (name,), "", (), (rule,)), None)

    def draw(self) -> Case:
        """A whole network and what to do with it."""
        for number in range(self.random.choice([1, 1, 1, 2])):
            rank = self.random.choice([2, 3, 4, 4, 4, 4, 5])
            sizes = [self.random.randint(1, 2), self.random.randint(1, 5)]
            sizes += [self.random.randint(1, 6) for _ in range(rank - 2)]
            name = f"data{number}"
            self.put(layer_input(name, sizes), tuple(sizes))
        # Each network has much of some kinds and nothing of others, so that all pairs come up (A.
        # Groce and others, "Swarm Testing", ISSTA 2012).
        weights = [weight * self.random.choice([0.01, 1, 1, 1, 5]) for _, weight in KINDS]
        methods = [method for method, _ in KINDS]
        self.convolution()
        for _ in range(self.random.choice([3, 5, 8, 12, 18])):
            if not self.shapes:
                break
            if self.odds_of_strange and self.chance(0.15):
                self.strange()
            else:
                getattr(self, self.random.choices(methods, weights)[0])()
        return self.asked()

    def asked(self) -> Case:
        kinds = {node.type for node in self.nodes}
        treat_as = {"MyConvolution": "Convolution"} if "MyConvolution" in kinds else {}
        options: dict[str, object] = {"treat_as": treat_as} if treat_as else {}
        if self.chance(0.1):
            options.update(threshold=0.0, round_to=1, merge=self.chance(0.5))
            return Case(tuple(self.nodes), "prune", options, self.seed)
        forms = MergeOptions.forms()
        for option, (usual, one) in MergeOptions.declared().items():
            # Some exclude others, and with one the network takes other inputs than before;
            # all are tested elsewhere.
            free = isinstance(usual, bool) and option not in ("float32", "float16", "input_swap")
            if free and self.chance(0.15 if usual else 0.25):
                options[option] = not usual
            elif option in forms and self.chance(0.25):
                # What would be refused is written, too: then it can be judged.
                options[option] = "warn" if option == "portable" else self.random.choice(one.values)
        if self.chance(0.1):
            chosen = self.random.choice(self.nodes).name
            options[self.random.choice(["keep", "only"])] = [chosen]
        return Case(tuple(self.nodes), "merge", options, self.seed)


KINDS = (
    ("pointwise", 9),
    ("batch_norm", 7),
    ("old_batch_norm", 1),
    ("scale", 6),
    ("bias", 3),
    ("scale_by_value", 1),
    ("prelu", 2),
    ("convolution", 8),
    ("inner_product", 2),
    ("siamese", 1),
    ("aliases", 2),
    ("branches", 1),
    ("eltwise", 3),
    ("concat", 4),
    ("slice", 2),
    ("split", 3),
    ("flatten", 2),
    ("reshape", 2),
    ("permute", 2),
    ("pooling", 3),
    ("upsample", 1),
    ("along", 1),
    ("tile", 1),
    ("crop", 1),
    ("ending", 1),
    ("outside", 1),
)
"""The methods that add something, and how often."""
