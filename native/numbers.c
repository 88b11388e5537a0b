/*
 * numbers.c - log, exp, sine and cosine in double, of our own: a library's may differ in the last bit from one system to
 * the next. Only +, -, *, / and exact functions are used.
 */
#include "numbers.h"

#include <math.h>

double esp_log(double x) {
  int exponent;
  double m = frexp(x, &exponent); /* in [0.5, 1) */
  if (m < 0.70710678118654752) {
    m *= 2;
    exponent--;
  }
  double s = (m - 1) / (m + 1), square = s * s, sum = 0;
  for (int k = 31; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * 0.69314718055994531 + 2 * s * sum;
}

double esp_exp(double x) {
  double n = floor(x * 1.4426950408889634 + 0.5);
  double r = (x - n * 0.693145751953125) - n * 1.4286068203094173e-6;
  double sum = 1;
  for (int k = 18; k >= 1; k--) sum = 1 + sum * r / k;
  return ldexp(sum, (int)n);
}

void esp_sincos(double x, double *sine, double *cosine) {
  double n = floor(x * 0.63661977236758134 + 0.5);
  /* pi/2 in three parts of 33 bits, so that n times a part is exact up to n = 2^20. */
  double r = ((x - n * 1.57079632673412561417) - n * 6.07710050630396597660e-11) - n * 2.02226624871116645580e-21;
  double s = 0, c = 0, term = 1;
  for (int k = 0; k < 20; k += 2) {
    c += term;
    term *= r / (k + 1);
    s += term;
    term *= -r / (k + 2);
  }
  switch ((int)((long long)n & 3)) {
    case 0: *sine = s, *cosine = c; break;
    case 1: *sine = c, *cosine = -s; break;
    case 2: *sine = -s, *cosine = -c; break;
    default: *sine = -c, *cosine = s; break;
  }
}
