/* Calls into libraries found at run time, by name: probes call each function once and must live without any of them. */
#ifndef TAPER_DOCTOR_PROBES_LIBRARY_H
#define TAPER_DOCTOR_PROBES_LIBRARY_H

#include <string.h>

#include "doctor/doctor.h"

/* r = name(arguments) for a function int name type; `missing` when the library has none of that name. */
#define LIBRARY_CALL(r, missing, library, name, type, ...)                                                            \
    do {                                                                                                               \
        int(*call_) type;                                                                                              \
        void *symbol_ = taper__library_symbol(library, name);                                                          \
        memcpy(&call_, &symbol_, sizeof call_);                                                                        \
        r = symbol_ ? call_(__VA_ARGS__) : (missing);                                                                  \
    } while (0)
enum { NVML_MISSING = 13, CUDA_MISSING = 500 }; /* NVML_ERROR_FUNCTION_NOT_FOUND, CUDA_ERROR_NOT_FOUND */
#define NVML_CALL(r, name, type, ...) LIBRARY_CALL(r, NVML_MISSING, library, name, type, __VA_ARGS__)
#define CUDA_CALL(r, name, type, ...) LIBRARY_CALL(r, CUDA_MISSING, library, name, type, __VA_ARGS__)

#endif
