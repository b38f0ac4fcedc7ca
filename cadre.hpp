#pragma once
/* All of Cadre's public interface for C++. */
#include <cadre/engine/engine.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/engine/options.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/shm/array.hpp>
#include <cadre/shm/error.hpp>
#include <cadre/shm/npy_file.hpp>
