/* Linkage of the public API: C names, visible in the shared library, everything else hidden. */
#ifndef TAPER_EXPORT_H
#define TAPER_EXPORT_H

#ifdef __cplusplus
#define TAPER_BEGIN extern "C" {
#define TAPER_END }
#else
#define TAPER_BEGIN
#define TAPER_END
#endif

#if defined(__GNUC__)
#define TAPER_API __attribute__((visibility("default")))
#define TAPER_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define TAPER_API
#define TAPER_PRINTF(f, a)
#endif

#endif
