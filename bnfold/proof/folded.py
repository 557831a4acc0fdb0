"""The folded network: each of its values, as what it must be of the original's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bnfold.proof.affines import Reading
from bnfold.proof.coefficients import Spot
from bnfold.proof.expansion import relate_expanded
from bnfold.proof.forms import Form, constant, whole
from bnfold.proof.known import signature
from bnfold.proof.layers import Layer, NetText
from bnfold.proof.lemmas import Lemma, Refusal, same
from bnfold.proof.matching import Matcher, Mismatch, Proved, fixed_outputs
from bnfold.proof.memory import Suspect, Value, Way
from bnfold.proof.original import Applied, Known
from bnfold.proof.rectifiers import NoRectified, is_positive, known_rectified, rectified_constant
from bnfold.proof.relations import CONSTANT, Relation, applied, relate
from bnfold.proof.roots import Root, Roots
from bnfold.proof.shapes import Lengths
from bnfold.proof.stored import Stored, same_blobs, unit
from bnfold.proof.walk import WEIGHTED, FunctionKey, Walk, suspects_of
from bnfold.proof.weighted import Weighted

_MOST_NUMBERS = 1 << 20


class _EndError(Exception):
    """The proof ends."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.why)
        self.ending = ending


@dataclass(frozen=True, eq=False)
class Ending:
    """Where a proof ends, and why.

    Attributes:
        layer: the layer at which it does; None for the network as a whole.
        why: the reason, as the end of a sentence.
        spot: the number that is wrong, if it is known to be.
    """

    layer: Layer | None
    why: str
    spot: Spot | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """What was proved of one layer.

    Attributes:
        layer: the layer.
        relation: what its top is, in words.
        coefficients: how many numbers were held against the original's.
        deviation: the largest difference among them, in units of the last place.
    """

    layer: Layer
    relation: str
    coefficients: int = 0
    deviation: float = 0.0


@dataclass
class Findings:
    """What has been proved so far, layer by layer."""

    steps: list[Step] = field(default_factory=list)


class Folded(Walk):
    """The walk that looks for the original's root behind each layer that is no linear function."""

    is_exact = False

    def __init__(
        self,
        net: NetText,
        stored: Stored,
        reading: Reading,
        roots: Roots,
        known: Known,
        original: Stored,
        ulps: float,
    ) -> None:
        super().__init__(net, stored, reading, roots)
        self.known, self.original, self.ulps = known, original, ulps
        self.matcher = Matcher(roots, ulps)
        self.findings = Findings()
        self._suspects: tuple[Suspect, ...] = ()
        self._deviation = 0.0
        self._pending: set[int] = set()

    def prove(self) -> Ending | None:
        """Walk through the network and hold its outputs against the original's.

        Returns:
            Where the proof ends; None if all is proved.
        """
        try:
            self.run()
            self._check_outputs()
        except _EndError as error:
            return error.ending
        return None

    def _check_outputs(self) -> None:
        missing = sorted(set(self.known.ends) - set(self.outputs))
        extra = sorted(set(self.outputs) - set(self.known.ends))
        if missing or extra:
            raise _end(
                None,
                f"the original's outputs are {', '.join(sorted(self.known.ends))}, and those of "
                f"the folded network {', '.join(sorted(self.outputs))}",
            )
        for name in self.outputs:
            self._check_output(name)

    def _check_output(self, name: str) -> None:
        layer = next(one for one in reversed(self.net.layers) if name in one.tops)
        value = self._read(layer, name)
        wanted = self.known.ends[name]
        relation = self.relate(value.form, wanted.form)
        if relation is None or not relation.is_same:
            channel = None if relation is None else relation.first_unequal()
            raise self._failed(
                layer, [value], f"the output '{name}' is not the original's", channel
            )
        self._count(relation)

    # ------------------------------------------------------------ steps that follow or do not

    def _failed(
        self, layer: Layer, bottoms: Sequence[Value], why: str, channel: int | None = None
    ) -> Exception:
        """The end of the proof, since a step does not follow, at what is most likely to blame."""
        if layer.name in self.misfits:
            return self.misfits[layer.name]
        suspects = suspects_of(bottoms)
        if suspects:
            worst = min(suspects, key=lambda one: one.share)
            spot = worst.spot if isinstance(worst.spot, Spot) else None
            return _end(worst.layer, worst.reason, spot)
        where = "" if channel is None else f" (channel {channel})"
        return _end(layer, why + where)

    def unreadable(self, layer: Layer, name: str, held: Value, way: Way) -> Value:
        """The original's root for what is looked at in the same way, if the same was written."""
        for other, its_way, shown in self.known.unreadable:
            relation = self.relate(held.form, other.form) if its_way == way else None
            if relation is not None and relation.is_same:
                return shown
        raise _end(layer, f"it cannot be said what it reads as '{name}'")

    def _count(self, relation: Relation | None) -> None:
        if relation is not None:
            self._deviation = max(self._deviation, relation.deviation)

    def relate(self, f: Form, v: Form) -> Relation | None:
        """How a value follows from one of the original's, written out if need be."""
        found = relate(f, v, self.roots, self.ulps)
        if found is not None or not f.numbers & self._pending:
            return found
        expanded = relate_expanded(f, v, self.roots, self.ulps)
        return expanded[0] if isinstance(expanded, tuple) else None

    def settled(self, layer: Layer, index: int, value: Value) -> Value:
        """Take a value for the original's of its name, where it is that; else suspect its layer."""
        name = layer.tops[index]
        same_name = self.known.values.get(name, ())
        relations = [self.relate(value.form, v.form) for v in same_name]
        for v, relation in zip(reversed(same_name), reversed(relations), strict=True):
            if relation is not None and relation.is_same:
                self._count(relation)
                self._suspects = ()
                self._note(layer, f"is '{name}' of the original")
                return replace(value, form=v.form, shape=value.shape or v.shape, suspects=())
        suspects, self._suspects = self._suspects or self._with_other_numbers(layer), ()
        if not suspects and same_name and self.stored.blobs(layer) and not any(relations):
            why = f"what it makes is not '{name}' of the original"
            suspects = (Suspect(layer, why, None, 0.5),)
        self._note(layer, self._told(value, name, relations))
        return replace(value, suspects=tuple(dict.fromkeys((*value.suspects, *suspects))))

    def _with_other_numbers(self, layer: Layer) -> tuple[Suspect, ...]:
        """A layer as a suspect whose numbers differ from those of the original's of its name."""
        its = self.known.layers.get(layer.name)
        if layer.kind in WEIGHTED or its is None or its.kind != layer.kind:
            return ()
        for ours, other in zip(self.stored.blobs(layer), self.original.blobs(its), strict=False):
            if ours.size != other.size or ours.size > _MOST_NUMBERS:
                return ()
            mine, wanted = ours.read().astype(np.float64), other.read().astype(np.float64)
            bad = np.flatnonzero(mine != wanted)
            if bad.size:
                at, one = int(bad[0]), unit(mine[bad[:1]], ours.dtype)[0]
                off = abs(mine[at] - wanted[at]) / one
                what = f"blob {ours.index} [{at}]"
                spot = Spot(at, what, float(wanted[at]), float(mine[at]), float(off))
                return (Suspect(layer, "", spot, bad.size / mine.size),)
        return ()

    def _note(self, layer: Layer, words: str) -> None:
        """Put down what was found of a layer."""
        count = sum(blob.size for blob in self.stored.blobs(layer))
        self.findings.steps.append(Step(layer, words, count, self._deviation))
        self._deviation = 0.0

    def _told(self, value: Value, name: str, relations: Sequence[Relation | None]) -> str:
        for relation in reversed(relations):
            if relation is not None:
                return f"is {_words(relation)} of '{name}' of the original"
        labels = sorted({self.roots[n].label for n in value.form.numbers})
        shown = ", ".join(labels[:3]) + (" and others" if len(labels) > 3 else "")
        return f"is made of {shown}" if labels else "is constant"

    # ------------------------------------------------------------ layers

    def opaque(self, layer: Layer, bottoms: Sequence[Value]) -> list[Value]:
        """What the original's layer of the same words computes, if it reads the same."""
        if not bottoms:
            return self._provided(layer)
        return self._applied(layer, bottoms, Lemma(same, keeps_channels=False), None)

    def function(
        self,
        layer: Layer,
        bottoms: Sequence[Value],
        lemma: Lemma,
        shape: Lengths | None,
        key: FunctionKey | None = None,
    ) -> list[Value]:
        """What the original's layer computes that does the same, as far as its lemma says."""
        if bottoms[0].form.is_flat and not (lemma.keeps_places or lemma.mixes_channels):
            return self.opaque(layer, bottoms)
        return self._applied(layer, bottoms, lemma, shape, key)

    def _provided(self, layer: Layer) -> list[Value]:
        for one in self.known.applied.get(signature(layer), []):
            if one.layer.tops == layer.tops and self._same_input(layer, one):
                return list(one.tops)
        raise _end(layer, "no layer of the original provides the same under the same names")

    def _same_input(self, layer: Layer, one: Applied) -> bool:
        declared = getattr(layer, "shape", None), getattr(one.layer, "shape", None)
        blobs = self.stored.numbers(layer), self.original.numbers(one.layer)
        return declared[0] == declared[1] and same_blobs(*blobs)

    def _applied(
        self,
        layer: Layer,
        bottoms: Sequence[Value],
        lemma: Lemma,
        shape: Lengths | None,
        key: FunctionKey | None = None,
    ) -> list[Value]:
        why, channel = "no layer of the original does the same", None
        for one in self._candidates(layer, key or signature(layer)):
            known = self._relations(bottoms, one.bottoms)
            if known is None and lemma.is_symmetric:
                known = self._relations(bottoms, one.bottoms[::-1])
            if known is None:
                why = f"it reads something else than {one.layer} of the original does"
                continue
            result = lemma.rule(known)
            if isinstance(result, Refusal):
                why, channel = f"{result.why} ({one.layer} of the original)", result.channel
                continue
            if not lemma.keeps_channels and not same_blobs(
                self.stored.numbers(layer), self.original.numbers(one.layer)
            ):
                why, channel = f"its blobs are not those of {one.layer} of the original", None
                continue
            for relation in known:
                self._count(relation)
            return [self._related(result, top, shape, lemma) for top in one.tops]
        raise self._failed(layer, bottoms, why, channel)

    def _relations(self, ours: Sequence[Value], its: Sequence[Value]) -> list[Relation] | None:
        """How some values follow from others, one by one; None if one of them does not."""
        found = []
        for mine, other in zip(ours, its, strict=True):
            relation = self.relate(mine.form, other.form)
            if relation is None:
                return None
            found.append(relation)
        return found

    def _related(
        self, relation: Relation, top: Value, shape: Lengths | None, lemma: Lemma
    ) -> Value:
        if not lemma.keeps_channels or relation.is_same:
            return replace(top, suspects=())
        if lemma.mixes_channels:
            relation = relation.over(top.form.size)
        return Value(applied(relation, top.form, self.roots), shape)

    def _candidates(self, layer: Layer, key: FunctionKey) -> Iterator[Applied]:
        """Layers of the original that do what this one does, those of its own name first."""
        found = self.known.applied.get(key, [])
        yield from (one for one in found if one.layer.name == layer.name)
        yield from (one for one in found if one.layer.name != layer.name)

    def rectified(self, layer: Layer, value: Value) -> Form:
        """max(x, 0) of a value that the original rectifies too, or of one in proportion to it."""
        if is_positive(value.form, self.roots):
            return value.form
        if not value.form.rows.size:
            return rectified_constant(value.form)
        found = known_rectified(self.known.rectified, layer, value.form, self.roots, self.ulps)
        if isinstance(found, NoRectified):
            raise self._failed(layer, [value], found.why, found.channel)
        return found

    def multiplied(self, layer: Layer, weighted: Weighted, value: Value) -> Form | None:
        """What a weighted layer is of the original's: the value of its name, or whatever it is."""
        first: Mismatch | None = None
        for target in self._named(layer):
            found = self.matcher.expected(weighted, target)
            if isinstance(found, Proved):
                return self._proved(found)
            if first is None or (first.spot is None and found.spot is not None):
                first = found
        settled = weighted.form.settled(self.roots)
        fixed = weighted.constants(settled)
        if fixed is not None and fixed[0].all():
            return constant(*fixed_outputs(weighted, settled))
        spot, why = None, "" if first is None else first.why
        for root in self._roots(weighted):
            result = self.matcher.found(weighted, root)
            if isinstance(result, Proved):
                self._suspect(layer, result.form, first)
                return self._proved(result)
            spot = spot or result.spot
            why = why or result.why
        spot = first.spot if first is not None and first.spot is not None else spot
        self._suspects = (
            Suspect(layer, "" if spot else why or "the original has no layer like it", spot, 0.0),
        )
        return self._unmatched(weighted)

    def _unmatched(self, weighted: Weighted) -> Form:
        """A root for a layer that is none of the original's by itself: a sum may need it."""
        root = self.roots.new(weighted.layer.name, weighted.outputs, weighted=weighted)
        self._pending.add(root.number)
        return whole(root)

    def _proved(self, found: Proved) -> Form:
        self._deviation = max(self._deviation, found.tally.deviation)
        return found.form

    def _suspect(self, layer: Layer, form: Form, first: Mismatch | None) -> None:
        """Remember that a layer is not the one of its name in the original."""
        if first is None or first.spot is None:
            return
        shares = [1.0]
        for target in self._named(layer):
            relation = relate(form, target, self.roots, self.ulps)
            if relation is not None:
                off = (relation.alpha != 1) | (relation.beta != 0) | (relation.row == CONSTANT)
                shares.append(float(np.mean(off)))
        self._suspects = (Suspect(layer, "", first.spot, min(shares)),)

    def _named(self, layer: Layer) -> Iterator[Form]:
        """The values of the original that have the name of a layer's top, the last one first."""
        for value in reversed(self.known.values.get(layer.tops[0], [])):
            weighted = [self.roots[n].base.weighted for n in value.form.numbers]
            if weighted and all(weighted):
                yield value.form

    def _roots(self, ours: Weighted) -> list[Root]:
        """The roots of weighted layers that read what ours reads, in the order to try them."""
        mine = {self.roots[n].base.number for n in ours.form.numbers}
        found = []
        for root in self.known.weighted:
            its = root.weighted
            assert its is not None
            if its.layer.kind in WEIGHTED and mine & {
                self.roots[n].base.number for n in its.form.numbers
            }:
                found.append(root)
        name, tops = ours.layer.name, set(ours.layer.tops)
        found.sort(
            key=lambda root: (
                root.label != name,
                root.weighted is None or not tops & set(root.weighted.layer.tops),
            )
        )
        return found


def _end(layer: Layer | None, why: str, spot: Spot | None = None) -> _EndError:
    return _EndError(Ending(layer, why, spot))


def _words(relation: Relation) -> str:
    """A relation in words."""
    every = "every " + "x".join(map(str, relation.stride)) + "th place" if relation.stride else ""
    fixed = int(np.sum(relation.row == CONSTANT))
    parts = []
    if np.any(relation.alpha[relation.row != CONSTANT] != 1):
        parts.append("a scale")
    if not relation.is_shiftless:
        parts.append("a shift")
    if every:
        parts.append(every)
    if not relation.is_whole:
        parts.append(f"{relation.row.size - fixed} channels")
    return " and ".join(parts) or "the same"
