/* numbers.h - functions whose bits are the same on every system. */
#ifndef ESP_NUMBERS_H
#define ESP_NUMBERS_H

double esp_log(double x); /* x > 0 */
double esp_exp(double x); /* |x| < 700 */
void esp_sincos(double x, double *sine, double *cosine); /* |x| < 10^6 */

#endif
