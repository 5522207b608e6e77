#include "binding/python_call.h"

#include <pthread.h>

#include <memory>

namespace phynexus::binding {

namespace {

// They live as long as the process: the order in which libraries are unloaded is not known, and
// the driver takes everything back at the end.
std::vector<std::unique_ptr<Device>>& devices() {
  static auto* opened = new std::vector<std::unique_ptr<Device>>;
  return *opened;
}

bool forked = false;

// Strong references, for the life of the process.
std::vector<PyObject*>& dtypes() {
  static auto* known = new std::vector<PyObject*>;
  return *known;
}

// An attribute's name as a Python string that is made once.
class Name {
 public:
  explicit Name(const char* text) : object_(PyUnicode_InternFromString(text)) {}
  py::object of(py::handle object) const {
    PyObject* value = PyObject_GetAttr(object.ptr(), object_);
    if (value == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(value);
  }

 private:
  PyObject* object_;
};

struct Names {
  Name buffer{"buffer"}, dtype{"dtype"}, shape{"shape"}, strides{"_strides"}, offset{"offset"};
};

const Names& names() {
  static const Names* kept = new Names;
  return *kept;
}

// Writes a tuple of integers, and returns how many there are.
int read_axes(py::handle tuple, int64_t* values) {
  const Py_ssize_t rank = PyTuple_Size(tuple.ptr());
  if (rank < 0) throw py::error_already_set();
  if (rank > kMostAxes) {
    throw py::value_error("a tensor has at most 16 axes on a GPU, not " + std::to_string(rank));
  }
  for (Py_ssize_t i = 0; i < rank; ++i) {
    values[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(tuple.ptr(), i));
    if (values[i] == -1 && PyErr_Occurred()) throw py::error_already_set();
  }
  return static_cast<int>(rank);
}

void add_integers(py::handle value, std::vector<int64_t>& found) {
  if (PyLong_Check(value.ptr())) {
    found.push_back(value.cast<int64_t>());
    return;
  }
  for (py::handle item : py::reinterpret_borrow<py::sequence>(value)) add_integers(item, found);
}

}  // namespace

Buffer::~Buffer() {
  if (forked) return;
  if (release_ == nullptr) {
    device_.memory().release(pointer_);
    return;
  }
  // Its owner does not know what is queued here.
  ignore(gpu_set_device(device_.index()));
  ignore(gpu_stream_synchronize(device_.stream()));
  release_();
}

bool is_forked() { return forked; }

Device& device(int index) {
  if (forked) {
    throw std::runtime_error(
        "this process was forked from one that uses a GPU, and no driver works after that; start "
        "processes with multiprocessing's method \"spawn\"");
  }
  auto& opened = devices();
  if (opened.empty()) {
    opened.resize(count_devices());
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
  }
  auto& place = opened.at(index);
  if (place == nullptr) place = std::make_unique<Device>(index);
  return *place;
}

void set_dtypes(py::sequence given) {
  if (!dtypes().empty()) return;
  if (given.size() != kDTypes) throw py::value_error("there are ten dtypes");
  for (py::handle dtype : given) dtypes().push_back(dtype.inc_ref().ptr());
}

DType to_dtype(py::handle dtype) {
  auto& known = dtypes();
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i] == dtype.ptr()) return static_cast<DType>(i);
  }
  for (size_t i = 0; i < known.size(); ++i) {  // another object that says the same
    const int equal = PyObject_RichCompareBool(known[i], dtype.ptr(), Py_EQ);
    if (equal < 0) throw py::error_already_set();
    if (equal) return static_cast<DType>(i);
  }
  throw py::type_error("no dtype of Neurenix: " + py::repr(dtype).cast<std::string>());
}

Buffer& buffer_of(py::handle tensor) {
  return names().buffer.of(tensor).cast<Buffer&>();  // the tensor keeps it alive
}

Tensor to_tensor(py::handle object) {
  Tensor tensor;
  if (object.is_none()) return tensor;
  tensor.present = true;
  tensor.dtype = to_dtype(names().dtype.of(object));
  tensor.rank = read_axes(names().shape.of(object), tensor.shape);
  const py::object strides = names().strides.of(object);
  if (strides.is_none()) {
    int64_t step = 1;
    for (int i = tensor.rank - 1; i >= 0; --i) {
      tensor.strides[i] = step;
      step *= tensor.shape[i];
    }
  } else {
    read_axes(strides, tensor.strides);
  }
  const int64_t offset = names().offset.of(object).cast<int64_t>();
  tensor.data = static_cast<char*>(buffer_of(object).pointer()) + offset * size_of(tensor.dtype);
  return tensor;
}

std::vector<int64_t> to_integers(py::handle sequence) {
  std::vector<int64_t> found;
  add_integers(sequence, found);
  return found;
}

py::object PythonAttributes::get(const char* name) const {
  PyObject* value = PyDict_GetItemString(attributes_.ptr(), name);
  if (value == nullptr) throw py::key_error(name);
  return py::reinterpret_borrow<py::object>(value);
}

Scalar PythonAttributes::scalar(const char* name) const {
  const py::object value = get(name);
  if (!PyLong_Check(value.ptr())) return {false, 0, value.cast<double>()};
  const auto integer = value.cast<int64_t>();
  return {true, integer, static_cast<double>(integer)};
}

int64_t PythonAttributes::integer(const char* name) const { return get(name).cast<int64_t>(); }
double PythonAttributes::real(const char* name) const { return get(name).cast<double>(); }
bool PythonAttributes::flag(const char* name) const { return get(name).cast<bool>(); }
std::string PythonAttributes::text(const char* name) const { return get(name).cast<std::string>(); }
std::vector<int64_t> PythonAttributes::integers(const char* name) const {
  return to_integers(get(name));
}

}  // namespace phynexus::binding
