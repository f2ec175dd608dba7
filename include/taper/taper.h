/* The whole public API. */
#ifndef TAPER_TAPER_H
#define TAPER_TAPER_H

#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/dlpack.h>
#include <taper/doctor.h>
#include <taper/index.h>
#include <taper/io.h>
#include <taper/nn.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <taper/profile.h>
#include <taper/schema.h>
#include <taper/scope.h>
#include <taper/sequential.h>
#include <taper/threads.h>
#include <taper/verify.h>

#endif
