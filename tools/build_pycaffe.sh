#!/usr/bin/env bash
# Builds pycaffe (official Caffe 1.0 plus SSD's layers, CPU only) on Debian 12 and caches it.
#
#   export PYTHONPATH=$(tools/build_pycaffe.sh [--python PATH])
#
# Only the folder for PYTHONPATH goes to stdout. The first call takes some minutes, later ones
# a fraction of a second. Needs root or sudo for Debian packages, and numpy and pip in the chosen
# Python, which must be 3.11: the one that Debian 12 builds Boost.Python for.
#
# BNFOLD_CACHE names another cache folder. Nothing is written into the checkout.
set -euo pipefail

readonly PACKAGE=brocolli-caffe
readonly VERSION=9.0.2
readonly SHA256=c6410cc60bdd6db685d441b66be7df05410f8850ac88d6b75d48ef9b2315c08a
readonly RECIPE=1 # Raise when this script changes what it builds.

readonly BUILD_PACKAGES=(
  binutils cmake g++ make protobuf-compiler
  libboost-{filesystem,python,regex,system,thread}-dev
  libgflags-dev libgoogle-glog-dev libgtest-dev libhdf5-dev libopenblas-dev libprotobuf-dev
)
readonly RUNTIME_PACKAGES=(
  libboost-{filesystem,python,thread}1.74.0
  libgflags2.2 libgoogle-glog0v6 libhdf5-103-1 libhdf5-hl-100 libopenblas0-pthread libprotobuf32
)

exec 3>&1 1>&2 # The answer goes to 3; whatever else is printed is progress.

say() { echo "build_pycaffe: $*"; }
die() {
  say "$*"
  exit 1
}

apt_install() {
  local as_root=()
  command -v apt-get >/dev/null || die "needs apt-get (Debian 12) to install: $*"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "needs root or sudo to install: $*"
    as_root=(sudo)
  fi
  say "installing Debian packages: $*"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"
}

install_missing() {
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *"ok installed" ]] ||
      missing+=("$package")
  done
  ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

lacks_libraries() { ldd "$1/caffe/_caffe.so" | grep -q 'not found'; }

# The cache may be younger than the machine: a fresh container with a restored cache folder.
ensure_runtime() {
  if lacks_libraries "$1"; then
    apt_install "${RUNTIME_PACKAGES[@]}"
    ! lacks_libraries "$1" || die "libraries are missing: $(ldd "$1/caffe/_caffe.so" | grep 'not found')"
  fi
}

fetch() {
  local folder=$1
  say "downloading $PACKAGE $VERSION"
  echo "$PACKAGE==$VERSION --hash=sha256:$SHA256" >"$folder/requirement.txt"
  "$python" -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
    --no-binary :all: --dest "$folder" -r "$folder/requirement.txt"
  mkdir "$folder/source"
  tar -xzf "$folder/$PACKAGE-$VERSION.tar.gz" -C "$folder/source" --strip-components=1
}

# Its CMake files look for everything in a conda environment: give them a folder that looks like
# one, made of links to what Debian and this Python have.
imitate_conda() {
  local conda=$1 libraries
  libraries=/usr/lib/$(gcc -print-multiarch)
  mkdir -p "$conda/include" "$conda/lib/python$py_version/site-packages/numpy/core"
  ln -s /usr/include/hdf5/serial/* "$conda/include/"
  ln -s "$py_include" "$conda/include/python$py_version"
  ln -s "$np_include" "$conda/lib/python$py_version/site-packages/numpy/core/include"
  ln -s "$libraries/libboost_python${py_version/./}.so" "$conda/lib/libboost_python.so"
  ln -s "$libraries/libhdf5_serial.so" "$conda/lib/libhdf5.so"
  ln -s "$libraries/libhdf5_serial_hl.so" "$conda/lib/libhdf5_hl.so"
}

compile() {
  local work=$1
  cmake -S "$work/source" -B "$work/build" -DANACONDA_HOME="$work/conda" \
    -DPYTHON_VERSION="python$py_version" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG -w" -DCMAKE_SKIP_RPATH=ON
  cmake --build "$work/build" --target pycaffe --parallel "$(nproc)"
}

# Copies the part that is needed to run, and lets it do without six, scikit-image and scipy:
# the latter are imported by the two functions that call them, the former was for Python 2.
collect() {
  local work=$1 out=$2
  mkdir -p "$out/caffe/proto"
  cp "$work"/source/python/caffe/*.py "$out/caffe/"
  cp "$work/build/lib/_caffe.so" "$out/caffe/_caffe.so"
  strip --strip-unneeded "$out/caffe/_caffe.so"
  cp "$work/build/include/caffe/proto/caffe_pb2.py" "$out/caffe/proto/"
  touch "$out/caffe/proto/__init__.py"
  cp "$work/source/LICENSE" "$out/caffe/"
  sed -i -E \
    -e '/^import six$/d' \
    -e 's/six\.next\(six\.itervalues\(([a-z_.]+)\)\)/next(iter(\1.values()))/g' \
    -e 's/six\.iteritems\(([a-z_.]+)\)/\1.items()/g' \
    "$out/caffe/pycaffe.py" "$out/caffe/net_spec.py"
  # tostring, fromstring and as_grey are gone from today's numpy and scikit-image.
  sed -i -E \
    -e '/^import skimage\.io$/d' \
    -e '/^from scipy\.ndimage import zoom$/d' \
    -e 's/^( +)img = skimage\.img_as_float/\1import skimage.io\n&/' \
    -e 's/^( +)resized_std = resize/\1from skimage.transform import resize\n&/' \
    -e 's/^( +)resized_im = zoom/\1from scipy.ndimage import zoom\n&/' \
    -e 's/as_grey/as_gray/; s/arr\.tostring/arr.tobytes/; s/np\.fromstring/np.frombuffer/' \
    "$out/caffe/io.py"
  "$python" -m compileall -q "$out"
}

smoke_test() {
  PYTHONPATH=$1 GLOG_minloglevel=2 "$python" -c '
import caffe
missing = {"BatchNorm", "Scale", "Convolution", "HDF5Data"} - set(caffe.layer_type_list())
assert not missing, missing
print("built Caffe", caffe.__version__, "with", len(caffe.layer_type_list()), "layer types")'
}

python=python3
while (($#)); do
  case $1 in
    --python)
      (($# >= 2)) || die "--python needs a path"
      python=$2
      shift 2
      ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0" >&3
      exit 0
      ;;
    *) die "unknown argument: $1 (see --help)" ;;
  esac
done

about=$("$python" -c '
import sys, sysconfig, numpy
print("%d.%d" % sys.version_info[:2], numpy.__version__.split(".")[0])
print(sysconfig.get_paths()["include"])
print(numpy.get_include())') || die "$python: needs to be a Python that can import numpy"
{
  read -r py_version np_major
  read -r py_include
  read -r np_include
} <<<"$about"
[[ $py_version == 3.11 ]] || die "$python is Python $py_version; Debian 12 has Boost.Python for 3.11"

# numpy's major version is part of the key: a module built against 2 and one built against 1 differ.
cache=${BNFOLD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bnfold}
place=$cache/pycaffe-$VERSION-py$py_version-numpy$np_major-$(uname -m)-r$RECIPE
log=$place.log

if [[ ! -d $place ]]; then
  mkdir -p "$cache"
  exec 9>"$place.lock" # Two calls at once: the second waits and finds the work done.
  flock 9
fi
if [[ ! -d $place ]]; then
  work=$(mktemp -d "$cache/.building-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  packages=("${BUILD_PACKAGES[@]}")
  [[ -f $py_include/Python.h ]] || packages+=("libpython$py_version-dev")
  started=$SECONDS
  say "building $PACKAGE $VERSION, which takes some minutes; log: $log"
  # A child shell, so that its failure can be reported here without switching `set -e` off in it.
  set +e
  (
    set -e
    install_missing "${packages[@]}"
    fetch "$work"
    imitate_conda "$work/conda"
    compile "$work"
    collect "$work" "$work/out"
    smoke_test "$work/out"
  ) >"$log" 2>&1
  status=$?
  set -e
  if ((status != 0)); then
    say "failed; the end of $log:"
    tail -n 40 "$log"
    exit 1
  fi
  mv -T "$work/out" "$place"
  say "$(tail -n 1 "$log"), in $((SECONDS - started)) s"
fi
ensure_runtime "$place"
echo "$place" >&3
