#pragma once
/* All of Cadre's public interface for C++. */
#include <cadre/engine/engine.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/engine/options.hpp>
#include <cadre/engine/report.hpp>
#include <cadre/logging/logger.hpp>
#include <cadre/pool/process.hpp>
#include <cadre/shm/array.hpp>
#include <cadre/shm/error.hpp>
#include <cadre/shm/npy_file.hpp>
#include <cadre/sync/barrier.hpp>
#include <cadre/sync/condition.hpp>
#include <cadre/sync/event.hpp>
#include <cadre/sync/lock.hpp>
#include <cadre/sync/semaphore.hpp>
#include <cadre/sync/value.hpp>
